"""What there is to say of a run: its checkpoints, its model, its tables, its inputs."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from slangmod.commands.verifying import Verdict, verdict
from slangmod.commands.verifying_tables import LOST, Gaps, faults_of_table
from slangmod.data.shards import encodings_folder, open_encodings
from slangmod.errors import DataError, RunError, UserError
from slangmod.files import MARKER, read_mark, sha256_of
from slangmod.locks import holder_of
from slangmod.reading import read_json
from slangmod.runs.directory import RunDir
from slangmod.runs.summary import checked_summary
from slangmod.settings.load import load_settings
from slangmod.settings.sections import Settings
from slangmod.settings.stages import stages_of

TRAIN_AGAIN = "train the run again, or copy that file from a backup"


def settings_in(workdir: str, run: RunDir) -> Settings:
    """The settings of a run, in the working directory in which it was found.

    Raises UserError where they cannot be read.
    """
    return load_settings(run.config).model_copy(update={"workdir": workdir})


def verdict_on_run(run: RunDir, workdir: str) -> Verdict:
    """Of settings, checkpoints, best model, and tables."""

    from slangmod.training.stored import read_state

    def look(holds: list[str]) -> Iterator[str]:
        if run.in_use():
            holds.append(f"in use by {holder_of(run.lock_file)}")
        settings = None
        try:
            settings = settings_in(workdir, run)
        except UserError as error:
            yield from (f"{problem}; mend that line" for problem in error.problems)
        outcome, told = _summary(run)
        yield from told
        sound: list[Path] = []
        yield from _checkpoints(run, holds, sound, outcome)
        state = read_state(sound[0]) if sound else {}
        if settings is not None and state:
            yield from _inputs(run, state["about"], settings)
        yield from _model(run, holds, state, outcome, sound)
        rows = [*_tables(run, state.get("counters", {}), settings)]
        yield from rows
        yield from _sums(run, holds, [*told, *rows])

    return verdict(run.root, look)


def _anew(run: RunDir) -> str:
    return f"`slangmod resume --name {run.name}` writes it anew"


def _without(run: RunDir) -> str:
    return f"{'remove that file, and ' * run.summary.exists()}{_anew(run)}"


def _summary(run: RunDir) -> tuple[Mapping[str, Any], list[str]]:
    """How the run has ended, and what is wrong with what says so."""
    try:
        summary, misfits = checked_summary(run.summary)
    except DataError as error:
        return {}, [f"{error}; {_anew(run)}"]
    return summary.get("outcome", {}), [f"{one}; {_without(run)}" for one in misfits]


def _sums(run: RunDir, holds: list[str], told: list[str]) -> Iterator[str]:
    """Whether all is as it was when training ended; nothing that was ``told`` twice.

    A run that has not ended has written none, nor has an older slangmod.
    """
    from slangmod.commands.sums import faults_of_sums

    try:
        names, faults = faults_of_sums(run)
    except DataError as error:
        names, faults = (), {}
        yield str(error)
    by_hash = f"{', '.join(names)} by hash"
    holds.append(by_hash if names else "rows of steps.csv and epochs.csv")
    for path, fault in faults.items():
        if not any(line.startswith(f"{path}:") for line in told):
            yield f"{path}: {fault}; {_without(run) if path == run.summary else LOST}"


def _ended(outcome: Mapping[str, Any]) -> str | None:
    """Why a run has ended by its own rules; None if it has not."""
    reason = outcome.get("reason")
    return None if reason in (None, "stopped", "failed") else str(reason)


def _checkpoints(
    run: RunDir, holds: list[str], sound: list[Path], outcome: Mapping[str, Any]
) -> Iterator[str]:
    """Looks at all of them; the sound ones go to ``sound``, newest first.

    What to do depends on whether a damaged one is newer than those, or the best.
    """
    from slangmod.commands.best import ways_out
    from slangmod.training.checkpoint import (
        examine,
        found_of,
        list_checkpoints,
        step_of,
    )
    from slangmod.training.stored import best_step

    faults: dict[Path, list[str]] = {}
    for listed in list_checkpoints(run.checkpoints):
        path, found = listed, examine(listed)
        if not found.there:  # removed, or replaced, while it was read
            path = found_of(run.checkpoints, step_of(listed))
            found = examine(path)
        if not found.problems:
            sound.append(path)
        elif found.there:
            faults[path] = found.problems
    holds.append(f"{len(sound)} checkpoints")
    if not sound:
        yield from (f"{one}; {TRAIN_AGAIN}" for each in faults.values() for one in each)
        yield f"{run.checkpoints}: there is no sound checkpoint; {TRAIN_AGAIN}"
        return
    newest = sound[0]
    best = found_of(run.checkpoints, best_step(newest))
    if best not in sound and newest.exists():  # or a run at work has removed both
        faults.setdefault(best, [f"{best}: the best checkpoint is gone"])
    for path, problems in faults.items():
        way = f"; nothing needs it: remove {path}"
        if step_of(path) > step_of(newest):
            resume = f"`slangmod resume --name {run.name}`"
            way = f"; {resume} goes on from {newest.name}, or {TRAIN_AGAIN}"
        elif path == best:
            way = ways_out(run, _ended(outcome))
        yield from (f"{problem}{way}" for problem in problems)


def _inputs(run: RunDir, about: dict[str, Any], settings: Settings) -> Iterator[str]:
    """What ``resume`` would refuse to go on with."""
    from slangmod.commands.changes import changed_settings, changes_of, read_changes

    try:
        encodings = open_encodings(encodings_folder(settings))
    except DataError:  # the verdict on them says why
        encodings = None
    try:
        if encodings is not None:
            changes_of(run, about, settings, encodings)
        else:
            yield from changed_settings(run, about, settings, (), read_changes(run))[1]
    except UserError as error:
        yield from error.problems


def _model(
    run: RunDir,
    holds: list[str],
    state: dict[str, Any],
    outcome: Mapping[str, Any],
    sound: list[Path],
) -> Iterator[str]:
    """Whether model/ is as it was written, and is the best checkpoint there was."""
    from slangmod.model.folder import TOKENIZER, WEIGHTS, faults_of_model
    from slangmod.training.checkpoint import FILE_OF, found_of

    if not run.model.exists():
        if _ended(outcome):
            yield f"{run.model}: is missing; {_anew(run)}"
        return
    faults = list(faults_of_model(run.model))
    yield from (f"{fault}; {_anew(run)}" for fault in faults)
    if faults:
        return
    again = f"remove that folder, and {_anew(run)}"
    holds.append("model")
    wanted = state.get("about", {}).get("tokenizer_sha256")
    if wanted and sha256_of(run.model / TOKENIZER) != wanted:
        yield f"{run.model / TOKENIZER}: is not the tokenizer of the run; {again}"
    if fault := _fault_of_mark(run.model):
        yield f"{fault}; {again}"
    step, weights = outcome.get("best_step"), outcome.get("best_weights")
    best = found_of(run.checkpoints, step if isinstance(step, int) else -1)
    name = FILE_OF.get(str(weights or "current"), WEIGHTS)
    if best in sound and not _same_tensors(run.model, WEIGHTS, best, name):
        yield f"{run.model / WEIGHTS}: is not the best checkpoint, {best.name}; {again}"


def _fault_of_mark(folder: Path) -> str:
    """How config.json and the mark of a model's folder differ; empty if they agree."""
    from slangmod.model.folder import CONFIG
    from slangmod.model.sums import WRITTEN

    mark = read_mark(folder)
    if mark is None:
        return f"{folder / MARKER}: is missing"
    try:
        described = read_json(folder / CONFIG)
    except ValueError:
        described = None
    known = {name: value for name, value in mark.items() if name != WRITTEN}
    return "" if known == described else f"{folder / CONFIG}: is not as it was written"


def _same_tensors(folder: Path, name: str, checkpoint: Path, other: str) -> bool:
    """Whether a model's file and a checkpoint hold the same tensors, bit for bit."""
    from slangmod.training.parts import file_of

    try:
        pairs = zip_longest(file_of(folder, name), file_of(checkpoint, other))
        return all(one == another for one, another in pairs)
    except (OSError, RunError):
        return False


def _tables(
    run: RunDir, counters: Mapping[str, Any], settings: Settings | None
) -> Iterator[str]:
    """Of steps.csv and epochs.csv, up to where the newest checkpoint knows of them."""
    rows, evaluations = _gaps(run, settings)
    known = counters.get("logged_batch", 0), counters.get("evaluated_step", 0)
    yield from faults_of_table(run.steps, "batch", known[0], rows)
    yield from faults_of_table(run.epochs, "step", known[1], evaluations)


def _gaps(run: RunDir, settings: Settings | None) -> tuple[Gaps | None, Gaps | None]:
    """What may lie between two rows of each table; None where that is not known.

    Nor is it where it was allowed to change: only the last of such changes is kept.
    """
    from slangmod.commands.changes import read_changes

    if settings is None:
        return None, None
    try:
        changed = {key.rpartition(".")[2] for key in read_changes(run)}
    except UserError:  # which was told with the inputs
        return None, None
    trains = [plan.settings.train for plan in stages_of(settings)]
    rows = Gaps("batch", max(train.cb_freq for train in trains))
    each_epoch = all(train.eval_freq is None for train in trains)
    return (
        None if "cb_freq" in changed else rows,
        Gaps("epoch", 1) if each_epoch and "eval_freq" not in changed else None,
    )
