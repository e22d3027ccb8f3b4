"""A TrainState on disk: complete or absent, verified when read, pruned when safe.

``checkpoints/step-000001200/`` holds model.safetensors, optimizer.safetensors,
state.json and manifest.json with the size and sha256 of the others. It is written
beside its place, synced, and renamed into it. Second sets of weights, such as a moving
average, are files of their own, where there are such.
"""

import json
import logging
import re
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from slangmod import __version__
from slangmod.errors import RunError
from slangmod.files import folder_aside, sha256_of, sync_folder, write_json
from slangmod.optim.state import restore, stored
from slangmod.training.copies import Weights, renew
from slangmod.training.state import (
    AVERAGE_FILE,
    EVALUATED_FILE,
    Counters,
    TrainState,
)
from slangmod.training.stopping import AVERAGE, CURRENT

FORMAT: Final = 1
MODEL: Final = "model.safetensors"
FILE_OF: Final = {CURRENT: MODEL, AVERAGE: AVERAGE_FILE}
"""Where a checkpoint has the weights that an evaluation found best."""
_NAME = re.compile(r"step-(\d{9,})")
_log = logging.getLogger(__name__)


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of optimizer step ``step`` lies in ``folder``."""
    return folder / f"step-{step:09d}"


def step_of(path: Path) -> int:
    """The optimizer step of a checkpoint, from its name."""
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def list_checkpoints(folder: Path) -> list[Path]:
    """All complete checkpoints in ``folder``, newest first."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if step_of(path) >= 0)
    return sorted(found, key=step_of, reverse=True)


def save_checkpoint(folder: Path, state: TrainState, about: Mapping[str, Any]) -> Path:
    """Write the state as it is now; one that is there already and sound is kept.

    ``about`` is what else must be known to go on: plain values, ready for JSON.
    """
    path = checkpoint_path(folder, state.counters.step)
    if path.exists():
        if not problems_of(path):
            return path
        set_aside(path)
    tensors, scalars = stored(state.optimizer, state.model)
    with folder_aside(path) as aside:
        weights = {k: v.contiguous() for k, v in state.model.state_dict().items()}
        write_tensors(path, aside / MODEL, weights)
        write_tensors(path, aside / "optimizer.safetensors", tensors)
        for name, copy in state.copies().items():
            write_tensors(path, aside / name, copy)
        content = {**state.plain(), "optimizer": scalars, "about": dict(about)}
        write_json(aside / "state.json", content)
        write_json(aside / "manifest.json", manifest_of(aside, state))
    return path


def write_tensors(path: Path, file: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write one file of checkpoint ``path``; RunError if the disk refuses it."""
    try:
        save_file(dict(tensors), file, {"format": "pt"})
    except SafetensorError as error:
        raise RunError(f"{path}: cannot be written: {error}") from error


def manifest_of(folder: Path, state: TrainState) -> dict[str, Any]:
    """Names, sizes and hashes of the files of a checkpoint, and who wrote it."""
    names = (MODEL, "optimizer.safetensors", *state.copies(), "state.json")
    return {
        "format": FORMAT,
        "step": state.counters.step,
        "files": {
            name: {
                "size": (folder / name).stat().st_size,
                "sha256": sha256_of(folder / name),
            }
            for name in names
        },
        "versions": {"slangmod": __version__, "torch": torch.__version__},
    }


def problems_of(path: Path) -> list[str]:
    """What is wrong with a checkpoint, a line each; none if it is sound."""
    try:
        manifest = json.loads((path / "manifest.json").read_text("utf-8"))
        if manifest["format"] != FORMAT:
            return [f"{path}: written by another version (format {manifest['format']})"]
        files = manifest["files"].items()
        sizes = {name: (path / name).stat().st_size for name, _ in files}
        return [
            f"{path / name}: differs from what was written"
            for name, known in files
            if sizes[name] != known["size"] or sha256_of(path / name) != known["sha256"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{path}: incomplete ({type(error).__name__}: {error})"]


def newest_sound(folder: Path) -> Path:
    """The newest checkpoint that is what was written; others are warned about.

    Raises RunError, naming each that was tried, if none is: training never starts
    afresh by itself.
    """
    problems: list[str] = []
    for path in list_checkpoints(folder):
        found = problems_of(path)
        if not found:
            for line in problems:
                _log.warning("%s; going back to %s", line, path.name)
            return path
        problems += found
    tried = "; ".join(problems) or "there is none"
    raise RunError(f"{folder}: no usable checkpoint: {tried}")


def set_aside(path: Path) -> None:
    """Rename an unsound checkpoint so that it is not taken for one again."""
    bad = path.with_name(f".bad-{path.name}")
    if bad.exists():
        shutil.rmtree(bad)
    path.rename(bad)
    sync_folder(path.parent)


def read_about(path: Path) -> dict[str, Any]:
    """What ``save_checkpoint`` was given beside the state."""
    content = json.loads((path / "state.json").read_text("utf-8"))
    about: dict[str, Any] = content["about"]
    return about


def read_counters(path: Path) -> Counters:
    """How far the run had come that a sound checkpoint holds; RunError if unclear."""
    content = json.loads((path / "state.json").read_text("utf-8"))
    try:
        return Counters(**content["counters"])
    except (KeyError, TypeError) as error:
        raise RunError(f"{path}: does not fit this run: {error}") from error


def load_checkpoint(path: Path, state: TrainState) -> None:
    """Take over weights, moments, counters and sums from a sound checkpoint.

    Raises RunError if its tensors are not those of the state's model and optimizer.
    """
    load_weights(path, state.model)
    for name, copy in state.copies().items():
        load_copy(path, name, copy, state.model)
    content = json.loads((path / "state.json").read_text("utf-8"))
    try:
        state.take(content)
        tensors = load_file(path / "optimizer.safetensors")
        restore(state.optimizer, state.model, tensors, content["optimizer"])
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise RunError(f"{path}: does not fit this run: {error}") from error


def load_weights(path: Path, model: torch.nn.Module, name: str = MODEL) -> None:
    """Copy file ``name`` of ``path`` into ``model``; RunError if it does not fit."""
    model.load_state_dict(read_weights(path, name, model.state_dict()))


def load_copy(path: Path, name: str, copy: Weights, model: torch.nn.Module) -> None:
    """Copy the file ``name`` of ``path`` into ``copy``.

    A run that was saved without the weights of its last evaluation, because it was
    not yet asked to stop where they come to rest, counts from those it was saved with.
    """
    if name == EVALUATED_FILE and not (path / name).exists():
        renew(copy, model)
        return
    for key, tensor in read_weights(path, name, copy).items():
        copy[key].copy_(tensor)


def read_weights(path: Path, name: str, like: Mapping[str, Tensor]) -> Weights:
    """The tensors in file ``name`` of checkpoint ``path``, in host memory.

    Names, shapes and types are compared with those of ``like`` before a tensor is
    read; RunError if they differ.
    """
    expected = {key: (tuple(one.shape), kind_of(one)) for key, one in like.items()}
    try:
        with safe_open(path / name, framework="pt") as file:
            keys = list(file.keys())
            parts = {key: file.get_slice(key) for key in keys}
            found = {
                key: (tuple(part.get_shape()), part.get_dtype())
                for key, part in parts.items()
            }
            if found != expected:
                odd = min(key for key, _ in found.items() ^ expected.items())
                raise RunError(f"{path}: weights are not this model's: {odd}")
            return {key: file.get_tensor(key) for key in expected}
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path / name}: {error}") from error


def kind_of(tensor: Tensor) -> str:
    """How safetensors spells the type of ``tensor``, such as F32."""
    bits = 8 * tensor.element_size()
    return f"{'F' if tensor.is_floating_point() else 'I'}{bits}"


def prune_checkpoints(folder: Path, keep: int, needed: Collection[int]) -> None:
    """Remove all but the newest ``keep`` checkpoints and those of steps ``needed``."""
    for path in list_checkpoints(folder)[keep:]:
        if step_of(path) not in needed:
            remove_checkpoint(path)


def abandon_after(folder: Path, step: int) -> None:
    """Remove the checkpoints of later steps, durably, the newest first.

    Wherever that is cut short, what is left is one course of training up to some step.
    """
    for path in list_checkpoints(folder):
        if step_of(path) > step:
            remove_checkpoint(path)
            sync_folder(folder)


def remove_checkpoint(path: Path) -> None:
    """Remove a checkpoint, which is complete or no longer one at any instant."""
    doomed = path.with_name(f".old-{path.name}")
    path.rename(doomed)
    shutil.rmtree(doomed)
