"""The course of a sweep: asks for trials, starts them, watches them, tells of them.

One loop in one process. Each trial is told once, after its process has ended; until
then it is running, and is carried on by whoever goes on with the sweep.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

from slangmod.commands.neighbours import Neighbours
from slangmod.commands.sweep_words import in_words, line_of, short_names
from slangmod.commands.trials import SAVED_CODES, Launcher, Running, outcome_of
from slangmod.errors import RunBusyError, UserError
from slangmod.search.proposals import PROPOSALS
from slangmod.search.study import FAILED, PRUNED, RUNNING, Record, Study

LOG = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.1

ENDED, STOPPED, TIMED_OUT = "ended", "stopped", "timed out"
"""How the course of a sweep may end."""

Changed = Callable[[tuple[Record, ...], int], None]
"""Is told all trials, and how many processes are at work, when one begins or ends."""


@dataclass
class Course:
    """A sweep under way, as one worker sees it, who is known as ``home``.

    ``waits``: also until the trials of all others have ended. ``requested`` says
    whether to stop; ``deadline``, on the monotonic clock, is when the last trial may
    begin.
    """

    study: Study
    launcher: Launcher
    home: str
    requested: Callable[[], bool]
    changed: Changed
    waits: bool = True
    deadline: float = math.inf
    waiting: deque[Record] = field(default_factory=deque)
    running: list[Running] = field(default_factory=list)
    elsewhere: tuple[Record, ...] = ()
    stopping: bool = False
    exhausted: bool = False

    def run(self) -> str:
        """Go on until all is done, or the time is over, or a signal; -> which of them.

        Whatever has not ended then can be gone on with.
        """
        self.neighbours.beat()
        for record in self.study.records():
            if record.state == RUNNING and record.home == self.home:
                LOG.info("trial %d was broken off; it goes on", record.number)
                self.waiting.append(record)
        self.tell_all()
        while not self.requested():
            self.neighbours.beat()
            self.fill()
            if not (self.running or self.waiting or self.others()):
                self.neighbours.leave()
                missing = self.launcher.plan.total - self.count()
                return TIMED_OUT if missing > 0 and not self.exhausted else ENDED
            self.look()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        self.stop()
        return STOPPED

    def count(self) -> int:
        """All trials that have begun, wherever."""
        return len(self.study.history())

    def tell_all(self) -> None:
        """Tell how all trials stand."""
        self.changed(self.study.records(), len(self.running))

    def fill(self) -> None:
        """Begin trials while there are workers without one."""
        while len(self.running) < self.launcher.plan.settings.sweep.workers:
            record = self.broken_off() or self.left_behind() or self.another()
            if record is None or not self.begin(record):
                return

    def broken_off(self) -> Record | None:
        """A trial to go on with, whose former process has really ended."""
        for _ in range(len(self.waiting)):
            record = self.waiting.popleft()
            if not self.study.is_at_work(record):  # another has taken it over
                continue
            if not self.launcher.plan.trial(record.number).in_use():
                return record
            self.waiting.append(record)
        return None

    def left_behind(self) -> Record | None:
        """A trial of a dead worker to go on with, once its process has ended, too."""
        record = self.neighbours.orphan()
        if record is not None:
            self.waiting.append(record)
        return self.broken_off()

    def another(self) -> Record | None:
        """A new trial; None where enough have begun, or nothing is left to try."""
        sweep = self.launcher.plan.settings.sweep
        over = time.monotonic() >= self.deadline or self.exhausted
        if over or self.count() >= sweep.n_trials:
            return None
        propose, startup = PROPOSALS[sweep.sampler], sweep.n_startup_trials
        with self.study.turn():  # of two workers, one sees what the other has begun
            if self.count() >= sweep.n_trials:
                return None
            record = self.study.ask(propose, sweep.seed, startup, self.home)
        self.exhausted = record is None
        return record

    @cached_property
    def neighbours(self) -> Neighbours:
        """The other workers."""
        return Neighbours(self.study, self.home)

    def others(self) -> bool:
        """Whether to stay for trials of others; tells of those that have ended."""
        at_work = self.neighbours.at_work()
        if self.waits and at_work != self.elsewhere:
            self.elsewhere = at_work
            self.tell_all()
        return self.waits and bool(at_work)

    def begin(self, record: Record) -> bool:
        """Start or carry on a trial; False where it has to wait."""
        taken = {trial.slot for trial in self.running}
        slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
        try:
            trial = self.launcher.start(record, slot)
        except RunBusyError:
            self.waiting.append(record)
            return False
        except UserError as error:
            self.tell(replace(record, state=FAILED, reason=" ".join(error.problems)))
            return True
        self.running.append(trial)
        words = in_words(record.parameters, self.names())
        LOG.debug("trial %d begins | %s", record.number, words)
        self.tell_all()
        return True

    def look(self) -> None:
        """See what the running trials have told, and which have ended."""
        for trial in [*self.running]:
            code = trial.process.poll()
            losses = {} if trial.makes_data else trial.new_losses()
            bad = bool(losses) and self.study.report(trial.record.number, losses)
            if code is not None:
                self.running.remove(trial)
                self.ended(trial, code)
            elif bad and not trial.pruned:
                trial.pruned = True
                trial.process.stop()

    def ended(self, trial: Running, code: int) -> None:
        """Go on with a trial whose process has ended, leave it for later, or tell."""
        trial.held.close()
        if code == 0 and trial.makes_data and not self.stopping:
            self.launcher.go_on(trial)
            self.running.append(trial)
            return
        told = outcome_of(trial, code, self.launcher.plan.settings.sweep.metric)
        if code in SAVED_CODES and trial.pruned:
            self.tell(replace(told, state=PRUNED, reason=""))
        elif code in SAVED_CODES or (code == 0 and trial.makes_data):
            if not self.stopping:
                LOG.info("trial %d was stopped; it goes on", told.number)
            self.waiting.append(trial.record)
        elif code == RunBusyError.exit_code:  # who was before us is at it after all
            self.waiting.append(trial.record)
        elif self.stopping and code < 0:
            LOG.info("trial %d was killed; it can go on", told.number)
        else:
            self.tell(told)

    def tell(self, told: Record) -> None:
        """Write down how a trial has ended, and say so."""
        self.study.tell(
            told.number,
            told.state,
            value=told.value,
            reason=told.reason,
            seconds=told.seconds,
        )
        records = self.study.records()
        sweep = self.launcher.plan.settings.sweep
        LOG.info(
            "%s | %d of %d",
            line_of(told, sweep.metric, self.names()),
            sum(record.state != RUNNING for record in records),
            self.launcher.plan.total,
        )
        self.changed(records, len(self.running))

    def names(self) -> dict[str, str]:
        """Short names of what is searched."""
        return short_names(self.launcher.plan.space)

    def stop(self) -> None:
        """Let the running trials save their state, and end."""
        self.stopping = True
        for trial in self.running:
            trial.process.stop()
        if self.running:
            LOG.info("stopping: %d trials save their state", len(self.running))
        while self.running:
            self.neighbours.beat()  # or others would think us dead, and our trials left
            self.look()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        self.neighbours.leave()
        self.tell_all()
