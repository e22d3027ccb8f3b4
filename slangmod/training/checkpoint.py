"""A TrainState on disk: complete or absent, verified when written and when read.

``checkpoints/step-000001200/`` holds model.safetensors, optimizer.safetensors,
state.json and manifest.json with the size and sha256 of the others. It is written
beside its place, synced, read back, and only then renamed into it. Second sets of
weights, such as a moving average, are files of their own, where there are such.
"""

import errno
import logging
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from slangmod.errors import RunError
from slangmod.files import REPLACED, folder_aside, new_file, remove_folder, sweep_asides
from slangmod.optim.state import restore
from slangmod.syncing import sync_folder
from slangmod.training.copies import Weights, renew, weights_of
from slangmod.training.disk import refuse_without_room
from slangmod.training.manifest import (
    MANIFEST,
    fault_of,
    manifest_of,
    misread,
    problems_in,
    text_of,
)
from slangmod.training.parts import holds, read_moments, read_weights, wanted_of
from slangmod.training.plain import refuse_unknown
from slangmod.training.snapshot import MODEL, OPTIMIZER, STATE, Snapshot, take
from slangmod.training.state import AVERAGE_FILE, EVALUATED_FILE, TrainState
from slangmod.training.stopping import AVERAGE, CURRENT
from slangmod.training.stored import UNCLEAR, best_step, problems_within, read_state
from slangmod.training.tensor_file import Written, pieces, written

FILE_OF: Final = {CURRENT: MODEL, AVERAGE: AVERAGE_FILE}
"""Where a checkpoint has the weights that an evaluation found best."""
_NAME = re.compile(r"step-(\d{9,})")
_log = logging.getLogger(__name__)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of optimizer step ``step`` lies in ``folder``."""
    return folder / f"step-{step:09d}"


def step_of(path: Path) -> int:
    """The optimizer step of a checkpoint, from its name."""
    match = _NAME.fullmatch(path.name.removeprefix(REPLACED))
    return int(match[1]) if match else -1


def list_checkpoints(folder: Path) -> list[Path]:
    """All complete checkpoints in ``folder``, newest first.

    One that was about to be replaced is among them as long as nothing has its name:
    until ``bring_back`` gives it that again, for which one must hold the run's lock.
    """
    if not folder.is_dir():
        return []
    paths = sorted(folder.iterdir(), reverse=True)  # "step-" before ".replaced-step-"
    found: dict[int, Path] = {}
    for path in paths:
        found.setdefault(step_of(path), path)
    return [found[step] for step in sorted(found, reverse=True) if step >= 0]


def found_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of ``step`` is, or would be, for who may not rename any."""
    there = {step_of(path): path for path in list_checkpoints(folder)}
    return there.get(step, checkpoint_path(folder, step))


def save_checkpoint(folder: Path, state: TrainState, about: Mapping[str, Any]) -> Path:
    """Write the state as it is now; see ``write_checkpoint`` and ``take``."""
    return write_checkpoint(folder, take(state, about))


def write_checkpoint(folder: Path, snapshot: Snapshot) -> Path:
    """Write a checkpoint of ``snapshot``; when this returns, it will outlive anything.

    One of the same step and weights that is there already and sound is kept; whether
    its name is durable nobody knows, so that is seen to. One of other weights, or in
    other files, gives way once the new one is sound. Raises OSError if the disk
    refuses, has no room, or gives back other bytes; nothing new is left then.
    """
    path = checkpoint_path(folder, snapshot.step)
    if path.exists():
        if problems_of(path):
            set_aside(path)
        elif all(
            fault_of(path / name, known) is None
            for name, known in snapshot.meant().items()
        ):
            sync_folder(folder)
            return path
    refuse_without_room(path, snapshot.size)
    with folder_aside(path, own=True) as aside:
        files = {
            name: write_file(aside / name, pieces(tensors))
            for name, tensors in snapshot.tensors.items()
        }
        files[STATE] = write_file(aside / STATE, iter([snapshot.text]))
        manifest = manifest_of(snapshot.step, files, snapshot.inputs)
        text = text_of(manifest).encode()
        files[MANIFEST] = write_file(aside / MANIFEST, iter([text]))
        check_written(aside, files, path)
    return path


def check_written(aside: Path, files: Mapping[str, Written], path: Path) -> None:
    """Raise OSError if the disk gives back other ``files`` than were written.

    They are in ``aside``, which is to become ``path``.
    """
    if (bad := misread(aside, files)) is not None:
        reason = "what was written cannot be read back"
        raise OSError(errno.EIO, reason, str(path / bad.name))


def write_file(path: Path, content: Iterator[bytes | memoryview]) -> Written:
    """Write one file of a checkpoint that is not yet at its place, durably."""
    with new_file(path) as stream:
        return written(content, stream.write)


def problems_of(path: Path) -> list[str]:
    """What is wrong with a checkpoint, a line each; none if it is sound.

    Raises UserError if a newer slangmod has written it.
    """
    return examine(path).problems


class Look(NamedTuple):
    """What was seen of a checkpoint."""

    problems: list[str]
    """what is wrong with it, a line each"""
    sure: bool
    """not where a disk or a right refuses to read what may well be sound"""
    there: bool
    """else it was removed, or has another name since it was listed"""


def examine(path: Path) -> Look:
    """Read all of a checkpoint; of one that takes its place meanwhile, all of that."""
    while True:
        looked_at, sure = _identity(path), True
        try:
            problems = problems_in(path, step_of(path), (MODEL, OPTIMIZER, STATE))
            problems = problems or problems_within(path, step_of(path))
        except OSError as error:
            problems = [f"{error.filename or path}: {error.strerror or error}"]
            sure = False
        if _identity(path) == looked_at:
            return Look(problems, sure, looked_at is not None)


def _identity(path: Path) -> tuple[int, ...] | None:
    """Which folder is at ``path``, as far as can be seen; None if there is none.

    With its times: what is removed may leave its number to what comes next.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


NONE_THERE: Final = "there is none; bring the folder back, or train with --overwrite"


def newest_sound(folder: Path, *, own: bool = False) -> Path:
    """The newest checkpoint that is what was written; others are warned about.

    With ``own`` the caller is the only writer of the run, and those that certainly are
    not what was written are renamed, so that they are not tried again. Raises RunError,
    naming all that were tried, if none is left: training never starts afresh by itself;
    UserError if a newer slangmod has written one.
    """
    path, bad = find_sound(folder)
    for one in bad if own else ():
        set_aside(one)
    return path


def find_sound(folder: Path) -> tuple[Path, tuple[Path, ...]]:
    """Like ``newest_sound``, with the newer ones that are certainly unsound."""
    while True:
        tried: dict[Path, Look] = {}
        for path in list_checkpoints(folder):
            found = examine(path)
            if not found.there:
                break  # while it was read: there is a newer one, or it has its name
            if not found.problems:
                for bad in tried.values():
                    why = "; ".join(bad.problems)
                    _log.warning("%s; going back to %s", why, path.name)
                return path, tuple(one for one, bad in tried.items() if bad.sure)
            tried[path] = found
        else:
            problems = [problem for bad in tried.values() for problem in bad.problems]
            why = "; ".join(problems) or NONE_THERE
            raise RunError(f"{folder}: no usable checkpoint: {why}")


def set_aside(path: Path) -> None:
    """Rename an unsound checkpoint so that it is not taken for one again."""
    bad = path.with_name(f".bad-{path.name}")
    if bad.exists():
        shutil.rmtree(bad)
    path.rename(bad)
    sync_folder(path.parent)


def load_checkpoint(path: Path, state: TrainState) -> None:
    """Take over weights, moments, counters and sums from a sound checkpoint.

    Raises RunError if its tensors are not those of the state's model and optimizer.
    """
    load_weights(path, state.model)
    for name, copy in state.copies().items():
        load_copy(path, name, copy, state.model)
    content = read_state(path)
    try:
        refuse_unknown(content)
        state.take(content)
        tensors = read_moments(path, OPTIMIZER, state.optimizer, state.model)
        restore(state.optimizer, state.model, tensors, content["optimizer"])
        state.untried = path
    except UNCLEAR as error:
        raise RunError(f"{path}: does not fit this run: {error}") from error


def load_weights(path: Path, model: torch.nn.Module, name: str = MODEL) -> None:
    """Copy the weights ``name`` of ``path`` into ``model``; RunError if they differ.

    Where a model is spread over several processes, its own rows.
    """
    weights = weights_of(model)
    found = read_weights(path, name, wanted_of(model, weights))
    with torch.no_grad():
        for key, tensor in found.items():
            weights[key].copy_(tensor)


def load_copy(path: Path, name: str, copy: Weights, model: torch.nn.Module) -> None:
    """Copy the weights ``name`` of ``path`` into ``copy``.

    A run that was saved without the weights of its last evaluation, because it was
    not yet asked to stop where they come to rest, counts from those it was saved with.
    """
    if name == EVALUATED_FILE and not holds(path, name):
        renew(copy, model)
        return
    for key, tensor in read_weights(path, name, wanted_of(model, copy)).items():
        copy[key].copy_(tensor)


def abandon_after(folder: Path, step: int) -> None:
    """Remove the checkpoints of later steps, durably, the newest first.

    Wherever that is cut short, what is left is one course of training up to some step.
    """
    sweep_asides(folder)  # of which one could take its name again when that is free
    for path in list_checkpoints(folder):
        if step_of(path) > step:
            remove_folder(path)
            sync_folder(folder)


def prune_checkpoints(
    folder: Path, keep: int, spared: Collection[int | None], written: int
) -> None:
    """Remove all but the newest ``keep`` checkpoints and those of steps ``spared``.

    ``written`` is the step of the newest; later ones, which could not be read, neither
    count nor go. The best so far that any of those that stay knows of stays, too.
    """
    there = [path for path in list_checkpoints(folder) if step_of(path) <= written]
    stay = {path for i, path in enumerate(there) if i < keep or step_of(path) in spared}
    best = {best_step(path) for path in stay}
    for path in there:
        if path not in stay and step_of(path) not in best:
            remove_folder(path)
