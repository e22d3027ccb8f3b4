"""Everything that watches a run: log, tables, samples, progress on the terminal."""

import logging
import sys
from types import TracebackType
from typing import Self

from slangmod.commands.at_hand import data_at_hand
from slangmod.commands.session import epoch_columns
from slangmod.commands.staging import stage_columns
from slangmod.runs.directory import RunDir
from slangmod.runs.incidents import Incidents
from slangmod.runs.logfile import RunLog
from slangmod.runs.progress import LogLines, open_progress
from slangmod.runs.recorders import EpochsCsv, MemoryCsv, SpeedCsv, StepsCsv
from slangmod.runs.samples import SamplesFile
from slangmod.runs.trackers import open_tracking
from slangmod.runs.tracking import Tracking
from slangmod.settings.sections import Settings
from slangmod.training.events import Event
from slangmod.training.state import Counters


def open_recording(
    run: RunDir, settings: Settings, log: RunLog, done: Counters
) -> "Recording":
    """All that watches ``run``, of which ``done`` is done, as ``settings`` ask for."""
    tracking = open_tracking(
        run, settings, data_at_hand, step=done.step, batch=done.logged_batch
    )
    columns = epoch_columns(settings), stage_columns(settings)
    return Recording(run, log, settings.progress, tracking, *columns)


class Recording:
    """Hands each event to the tables, the log, the bar and the trackers of one run.

    The tables have the columns of every run, and those given after them.
    """

    def __init__(
        self,
        run: RunDir,
        log: RunLog,
        show_bar: bool,
        tracking: Tracking,
        epoch_columns: tuple[str, ...] = (),
        step_columns: tuple[str, ...] = (),
    ) -> None:
        self._log = log
        log.open(run.log)
        self.complaints = log.complaints
        self._tables = (
            StepsCsv(run.steps, self.complaints, step_columns),
            EpochsCsv(run.epochs, self.complaints, epoch_columns),
        )
        self.memory = MemoryCsv(run.memory, self.complaints)
        self.speed = SpeedCsv(run.speed, self.complaints)
        self.samples = SamplesFile(run.samples, self.complaints)
        self._progress = open_progress(show_bar, sys.stderr)
        self._tracking = tracking
        self._incidents = Incidents(run.incidents, self.complaints)
        self._watchers = (
            *(*self._tables, LogLines(), self._incidents),
            *(self._progress, tracking),
        )

    def __enter__(self) -> Self:
        """Use as a context, which lets go of all files."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the tables, leave the bar as it is, tell trackers of the end."""
        self._progress.close()
        for table in self._tables:
            table.close()
        self.memory.close()
        self.speed.close()
        self.samples.close()
        self._incidents.close()
        self._tracking.close(error)

    def __call__(self, event: Event) -> None:
        """Tell all watchers."""
        for watcher in self._watchers:
            watcher(event)

    def measure_by(self, best_speed: float) -> None:
        """Say from now on what share of ``best_speed``, tokens per second, it is."""
        self._progress.best_speed = best_speed

    def go_back_to(self, counters: Counters) -> None:
        """Drop the rows that were written after the checkpoint with ``counters``."""
        steps, epochs = self._tables
        steps.cut_after(counters.logged_batch)
        epochs.cut_after(counters.evaluated_step)
        self.memory.cut_after(counters.batch)
        self.speed.cut_after(counters.batch)
        self.samples.cut_after(counters.step)
        self._tracking.go_back_to(counters.logged_batch)

    def sync(self) -> OSError | None:
        """Make durable what has been recorded; belongs before each checkpoint.

        -> what keeps the disk from it. A checkpoint must not count rows that are not
        there; the log may be late.
        """
        self._log.sync()
        measured = self.memory, self.speed
        recorded = (*self._tables, *measured, self.samples, self._incidents)
        errors = [table.sync() for table in recorded]
        return next((error for error in errors if error is not None), None)


def attach_log(level: int) -> RunLog:
    """A log that remembers what comes before its run has a folder."""
    log = RunLog(level)
    logger = logging.getLogger("slangmod")
    logger.addHandler(log)
    logger.setLevel(level)  # which from Python nobody has done
    return log


def detach_log(log: RunLog) -> None:
    """Stop recording and close the file."""
    logging.getLogger("slangmod").removeHandler(log)
    log.close()
