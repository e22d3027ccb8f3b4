"""What there is to say of a run, its encodings, its tokenizer and its corpus."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from slangmod.commands.verifying_tables import faults_of_table
from slangmod.data.checking import faults_of
from slangmod.data.shards import broken, encodings_folder, open_encodings
from slangmod.errors import DataError, RunError, UserError
from slangmod.files import MARKER, read_mark, sha256_of, unlisted, unsound
from slangmod.locks import holder_of
from slangmod.reading import read_json
from slangmod.runs.directory import RunDir
from slangmod.runs.summary import read_summary
from slangmod.settings.load import load_settings
from slangmod.settings.paths import corpus_folder, tokenizer_path
from slangmod.settings.sections import Settings
from slangmod.text.provenance import made_from, record_path
from slangmod.text.tokenizer import open_codec

TRAIN_AGAIN = "train the run again, or copy that file from a backup"


@dataclass(frozen=True)
class Verdict:
    """What was looked at, in words what is there, and what is wrong, a line each."""

    place: str
    holds: str
    problems: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """For a person: what is sound in one line, each problem in one."""
        if not self.problems:
            yield f"{self.place}: sound ({self.holds})"
        yield from self.problems


def verdict(place: Path, look: Callable[[list[str]], Iterator[str]]) -> Verdict:
    """What ``look`` yields of ``place``; it is given a list of what there is."""
    holds: list[str] = []
    problems: list[str] = []
    try:
        problems.extend(look(holds))
    except UserError as error:
        problems.extend(error.problems)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problems.append(f"{getattr(error, 'filename', None) or place}: {reason}")
    return Verdict(str(place), ", ".join(holds), tuple(problems))


def verdict_on_corpus(settings: Settings) -> Verdict:
    """Of the files that ``clean`` has written, by hash."""
    folder = corpus_folder(settings)

    def look(holds: list[str]) -> Iterator[str]:
        way = "move it away, and run `slangmod clean`"
        listed = (read_mark(folder) or {}).get("files")
        if not folder.is_dir():
            holds.append("there is none, and training does without")
        elif not isinstance(listed, dict):
            yield f"{folder / MARKER}: does not say what clean has written; {way}"
        else:
            holds.append(f"{len(listed)} files")
            for name in unsound(folder):
                yield f"{folder / name}: is not as clean has written it; {way}"
            for name in unlisted(folder):
                yield f"{folder / name}: was not made by clean; {way}"

    return verdict(folder, look)


def verdict_on_tokenizer(settings: Settings) -> Verdict:
    """Of the tokenizer file: whether it loads, and is as ``tokenize`` has made it."""
    path = tokenizer_path(settings)

    def look(holds: list[str]) -> Iterator[str]:
        codec = open_codec(settings)
        holds.append(f"{codec.vocab_size} tokens")
        if record_path(path).exists() and made_from(path) is None:
            yield (
                f"{path}: is not as tokenize has made it; run `slangmod tokenize "
                "encode`, or bring the old one back"
            )

    return verdict(path, look)


def verdict_on_encodings(settings: Settings) -> Verdict:
    """Of the shards, each by size, hash, and what its numbers mean."""
    try:
        folder = encodings_folder(settings)
    except DataError as error:
        return Verdict(f"{settings.workdir}/encodings", "", error.problems)

    def look(holds: list[str]) -> Iterator[str]:
        encodings = open_encodings(folder)
        manifest = encodings.manifest
        for name, split in manifest.splits.items():
            holds.append(f"{name} of {split.tokens} tokens")
        for name, reason in faults_of(folder, manifest):
            yield str(broken(folder / name, reason))
        if manifest.tokenizer_sha256 != sha256_of(tokenizer_path(settings)):
            yield str(broken(folder, "is by another tokenizer than its name says"))

    return verdict(folder, look)


def verdict_on_run(run: RunDir) -> Verdict:
    """Of settings, checkpoints, best model, and tables."""

    def look(holds: list[str]) -> Iterator[str]:
        if run.in_use():
            holds.append(f"in use by {holder_of(run.lock_file)}")
        yield from _settings(run)
        sound: list[Path] = []
        yield from _checkpoints(run, holds, sound)
        state = _state(sound[0]) if sound else {}
        yield from _summary_and_model(run, holds, state, sound)
        counters = state.get("counters", {})
        for path, column, counter in (
            (run.steps, "batch", "logged_batch"),
            (run.epochs, "step", "evaluated_step"),
        ):
            yield from faults_of_table(path, column, counters.get(counter, 0))
        holds.append("steps.csv and epochs.csv")

    return verdict(run.root, look)


def _settings(run: RunDir) -> Iterator[str]:
    try:
        load_settings(run.config)
    except UserError as error:
        yield from (f"{problem}; mend that line" for problem in error.problems)


def _checkpoints(run: RunDir, holds: list[str], sound: list[Path]) -> Iterator[str]:
    """Looks at all of them; the sound ones go to ``sound``, newest first."""
    from slangmod.training.checkpoint import list_checkpoints, problems_of

    for path in list_checkpoints(run.checkpoints):
        problems = problems_of(path)
        if not problems:
            sound.append(path)
        for problem in problems:
            yield f"{problem}; resume takes an older one, or {TRAIN_AGAIN}"
    if not sound:
        yield f"{run.checkpoints}: there is no sound checkpoint; {TRAIN_AGAIN}"
    holds.append(f"{len(sound)} checkpoints")


def _state(checkpoint: Path) -> dict[str, Any]:
    """The counters and inputs of a sound checkpoint; DataError if it has none."""
    path = checkpoint / "state.json"
    try:
        state = read_json(path)
        return {name: dict(state[name]) for name in ("counters", "about")}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: says nothing of the run: {error}") from error


def _summary_and_model(
    run: RunDir, holds: list[str], state: dict[str, Any], sound: list[Path]
) -> Iterator[str]:
    """The summary, and whether model/ is the best checkpoint that it names."""
    from slangmod.model.folder import CONFIG, TOKENIZER, WEIGHTS
    from slangmod.training.checkpoint import FILE_OF, checkpoint_path

    outcome = read_summary(run.summary).get("outcome", {})
    if not run.model.exists():
        if outcome.get("reason") not in (None, "stopped", "failed"):
            yield f"{run.model}: is missing; `slangmod resume` writes it anew"
        return
    again = "remove that folder and summary.toml, and `slangmod resume` writes it anew"
    for name in (CONFIG, TOKENIZER, WEIGHTS):
        if not (run.model / name).is_file():
            yield f"{run.model / name}: is missing; {again}"
            return
    holds.append("model")
    wanted = state.get("about", {}).get("tokenizer_sha256")
    if wanted and sha256_of(run.model / TOKENIZER) != wanted:
        yield f"{run.model / TOKENIZER}: is not the tokenizer of the run; {again}"
    if read_mark(run.model) != read_json(run.model / CONFIG):
        yield f"{run.model / CONFIG}: is not as it was written; {again}"
    step, weights = outcome.get("best_step"), outcome.get("best_weights")
    best = checkpoint_path(run.checkpoints, step if isinstance(step, int) else -1)
    name = FILE_OF.get(str(weights or "current"), WEIGHTS)
    if best in sound and not _same_tensors(run.model, WEIGHTS, best, name):
        yield f"{run.model / WEIGHTS}: is not the best checkpoint, {best.name}; {again}"


def _same_tensors(folder: Path, name: str, checkpoint: Path, other: str) -> bool:
    """Whether a model's file and a checkpoint hold the same tensors, bit for bit."""
    from slangmod.training.parts import file_of

    try:
        pairs = zip_longest(file_of(folder, name), file_of(checkpoint, other))
        return all(one == another for one, another in pairs)
    except (OSError, RunError):
        return False
