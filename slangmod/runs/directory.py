"""The folder of a run: the names of its files, its place, its lock.

The names are those of the public contract. Nothing here reads a clock or knows what
the files hold, and nothing leads out of the working directory.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from slangmod.errors import DataError, RunBusyError, UserError
from slangmod.files import ASIDE, refuse_foreign
from slangmod.growing import refuse_unwritable
from slangmod.locks import holder_file, holder_of, is_locked, locked
from slangmod.reading import refuse_irregular, refuse_link
from slangmod.runs.links import StrayError, refuse_stray
from slangmod.runs.tidying import tidy
from slangmod.settings.paths import RUNS, TRIAL, run_name
from slangmod.syncing import make_folder, sync_folder

NAME = re.compile(r"([A-Za-z0-9._-]{1,64})(/trial-[0-9]{3,9})?")
"""Of a run, or of one that is a trial of a sweep."""


@dataclass(frozen=True)
class RunDir:
    """Where one run lives, and what its files are called."""

    root: Path

    @classmethod
    def of(cls, workdir: str | Path, name: str) -> "RunDir":
        """The folder of the run called ``name``, which need not exist.

        A trial of a sweep is called ``SWEEP/trial-007``. Raises UserError for a name
        with other than letters, digits, ``.``, ``_`` and ``-``, or one that leads out
        of ``workdir``, be it through a symbolic link to the folder or to a file in it.
        """
        root = Path(workdir) / RUNS / name
        match = NAME.fullmatch(name)
        first = match[1] if match else ""
        if not match or first in {".", ".."} or first.startswith(ASIDE):
            raise UserError(
                f"name = {name!r}: is no name for a run; use 1 to 64 letters, digits, "
                "'.', '_' and '-'"
            )
        if match[2] and first == RUNS:
            raise UserError(f"name = {name!r}: no sweep is called {RUNS!r}")
        refuse_stray(root, Path(workdir))
        return cls(root)

    @property
    def name(self) -> str:
        """What the run is called."""
        return run_name(self.root)

    @property
    def config(self) -> Path:
        """Resolved settings with origins."""
        return self.root / "config.toml"

    @property
    def log(self) -> Path:
        """One line per log record."""
        return self.root / "train.log"

    @property
    def steps(self) -> Path:
        """One row every ``cb_freq`` mini-batches."""
        return self.root / "steps.csv"

    @property
    def epochs(self) -> Path:
        """One row per evaluation."""
        return self.root / "epochs.csv"

    @property
    def memory(self) -> Path:
        """How much memory it took while it trained, every few seconds."""
        return self.root / "memory.csv"

    @property
    def speed(self) -> Path:
        """How fast it was and what time went into, every few seconds."""
        return self.root / "speed.csv"

    @property
    def samples(self) -> Path:
        """Text that the model wrote as it learnt, a line of JSON each."""
        return self.root / "samples.jsonl"

    @property
    def incidents(self) -> Path:
        """What went wrong and what was done then, a line of JSON each."""
        return self.root / "incidents.jsonl"

    @property
    def bad_steps(self) -> Path:
        """Folder of optimizer steps that were not finite, two files each."""
        return self.root / "bad"

    @property
    def report(self) -> Path:
        """Everything about the run on one page."""
        return self.root / "report.html"

    @property
    def summary(self) -> Path:
        """How the run ended; written when training ends."""
        return self.root / "summary.toml"

    def hang_file(self, step: int, rank: int = 0) -> Path:
        """Where the program stood when nothing was done any more after ``step``.

        Of several processes each has a file of its own: they stand at other places.
        """
        of_rank = f"-rank-{rank}" if rank else ""
        return self.root / f"hang-{step:09d}{of_rank}.txt"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.root / "checkpoints"

    @property
    def model(self) -> Path:
        """Folder of the best model."""
        return self.root / "model"

    @property
    def tracking(self) -> Path:
        """By what names trackers know the run."""
        return self.root / "tracking.json"

    @property
    def changes(self) -> Path:
        """With what other values, or data, it was allowed to go on."""
        return self.root / "changes.json"

    @property
    def sums(self) -> Path:
        """Size and hash of what was recorded, while nothing is added to it."""
        return self.root / ".sums.json"

    @property
    def tensorboard(self) -> Path:
        """Folder of event files for TensorBoard."""
        return self.root / "tensorboard"

    @property
    def lock_file(self) -> Path:
        """Held by the process that writes to the run."""
        return self.root / "run.lock"

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return self.config.is_file()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only process that writes to the run; makes its folder if need be.

        A folder that was made here and has no checkpoint when something goes wrong is
        removed: a run that never began leaves nothing. Raises RunBusyError, naming
        host and process, if the run is in use.
        """
        made, ours = not self.root.exists(), True
        try:
            make_folder(self.root)
            self._refuse_unfit()
            with locked(self.lock_file, f"run '{self.name}'") as still_held:
                tidy(self)
                try:
                    yield
                finally:
                    ours = still_held()
        except RunBusyError:
            raise  # whoever holds the lock is about to fill the folder
        except BaseException:
            if made and ours and not self.has_checkpoints():
                shutil.rmtree(self.root, ignore_errors=True)
            raise

    def _refuse_unfit(self) -> None:
        """Raise DataError for what could not be written when training has begun."""
        for entry in self.root.iterdir():
            refuse_link(entry)
            refuse_irregular(entry)
        ours = self.config, self.summary, self.tracking, self.changes, self.sums
        for path in ours:
            if path.is_dir():
                raise DataError(f"{path}: is a folder; move it away")
        tables = self.steps, self.epochs, self.memory, self.speed
        for path in (*tables, self.samples, self.incidents, self.log):
            refuse_unwritable(path)
        refuse_foreign(self.model)

    @contextmanager
    def vacated(self) -> Iterator["RunDir"]:
        """Give the run that is here another name; a new one, locked, takes its place.

        The other name is ``NAME.old-1`` or the next that is free. If the new run gets
        no checkpoint, the old one has its name back. Only within ``lock``.
        """
        number = 1
        while (aside := self._older(number)).exists():
            number += 1
        old = RunDir(aside)
        try:
            self.root.rename(aside)
            sync_folder(aside.parent)
            holder_file(old.lock_file).unlink(missing_ok=True)
            with self.lock():
                yield old
        except BaseException:
            if old.root.exists() and not self.root.exists():
                old.root.rename(self.root)
                sync_folder(aside.parent)
            raise

    def has_checkpoints(self) -> bool:
        """Whether there is a folder of a checkpoint, sound or not."""
        return self.checkpoints.is_dir() and any(
            not entry.name.startswith(ASIDE) for entry in self.checkpoints.iterdir()
        )

    def in_use(self) -> bool:
        """Whether a living process holds the lock."""
        return is_locked(self.lock_file)

    def refuse_if_in_use(self) -> None:
        """Raise RunBusyError, naming host and process, if the run is in use."""
        if self.in_use():
            who = holder_of(self.lock_file)
            raise RunBusyError(f"run '{self.name}' is in use by {who}")

    def _older(self, number: int) -> Path:
        ending = f".old-{number}"
        return self.root.with_name(self.root.name[: 64 - len(ending)] + ending)


def trials_of(
    workdir: str | Path, sweep: str, tell: Callable[[str], None] | None = None
) -> tuple[RunDir, ...]:
    """The begun trials of a sweep, in order; ``tell`` is told of links that stray."""
    folder = RunDir.of(workdir, sweep).root
    names = sorted(
        (path.name for path in folder.glob("trial-*") if TRIAL.fullmatch(path.name)),
        key=lambda name: int(name.partition("-")[2]),
    )
    found = []
    for name in names:
        try:
            found.append(RunDir.of(workdir, f"{sweep}/{name}"))
        except StrayError as error:
            if tell is not None:
                tell(f"{error}; it is left out")
    return tuple(trial for trial in found if trial.exists())


def runs_of(
    workdir: str | Path, tell: Callable[[str], None] | None = None
) -> tuple[RunDir, ...]:
    """All runs in ``workdir`` but trials of sweeps, the one begun last first.

    Those with links that lead astray are left out, and ``tell`` is told why.
    """
    try:
        names = sorted(entry.name for entry in (Path(workdir) / RUNS).iterdir())
    except OSError:
        return ()
    found = []
    for name in names:
        try:
            run = RunDir.of(workdir, name)
            found.append((run.config.stat().st_mtime_ns, run))
        except StrayError as error:
            if tell is not None:
                tell(f"{error}; it is left out")
        except (UserError, OSError):
            continue
    return tuple(run for _, run in sorted(found, key=lambda pair: -pair[0]))


def new_name(workdir: str | Path, now: datetime) -> str:
    """A free name by date and time in ``workdir``, such as 2026-11-20-23h57m59s."""
    name = now.strftime("%Y-%m-%d-%Hh%Mm%Ss")
    number = 1
    free = name
    while (Path(workdir) / RUNS / free).exists():
        number += 1
        free = f"{name}-{number}"
    return free
