"""Keeps the books of a run: counters, sums of losses, and the rows made of them."""

from collections.abc import Callable
from dataclasses import replace

import torch

from slangmod.training.events import Callback, Event, Progress, StepDone
from slangmod.training.guard import Guard
from slangmod.training.reading import Reading
from slangmod.training.state import TrainState
from slangmod.training.step import StepResult
from slangmod.training.stopwatch import Stopwatch
from slangmod.training.times import LOGGING

NATS_OF_EPOCH, NATS_OF_ROW, GRAD_NORM, LOST_OF_EPOCH, LOST_OF_ROW, LOST = range(6)
"""Places in ``TrainState.sums``."""


class Ledger:
    """Counts what each step did, and tells a row every ``cb_freq`` mini-batches.

    The values of a row are read while the next step is under way, so that logging
    never makes a device wait.
    """

    def __init__(
        self,
        state: TrainState,
        guard: Guard,
        *,
        cb_freq: int,
        planned: int,
        tell: Callback,
        clock: Callable[[], float],
        stopwatch: Stopwatch,
    ) -> None:
        self._state, self._guard, self._cb_freq = state, guard, cb_freq
        self._planned, self._tell, self._clock = planned, tell, clock
        self.stopwatch = stopwatch
        self._now = clock()
        self._row_time = state.counters.seconds
        self._row_tokens = state.counters.tokens
        self._pending: list[tuple[StepDone, int, Reading]] = []

    def begin(self, epoch: int) -> None:
        """Open the books of ``epoch`` unless they are open."""
        counters = self._state.counters
        if epoch != counters.epoch:
            counters.epoch, counters.epoch_tokens = epoch, 0
            self._state.sums[NATS_OF_EPOCH] = 0.0
            self._state.sums[LOST_OF_EPOCH] = 0.0

    def enter(self, result: StepResult, learning_rate: float) -> None:
        """Enter an optimizer step, and the rows that are due.

        One that is not finite was left out: its mini-batches are done and its losses
        count nowhere. That is decided on the device, which nothing here waits for.
        """
        counters, sums = self._state.counters, self._state.sums
        began = counters.seconds
        self.pass_time()
        each = (counters.seconds - began) / len(result.tokens)
        tell_now, self._pending = self._pending, []
        counts = result.finite
        losses, lost = torch.where(counts, result.losses, 0.0), (~counts).double()
        for index, tokens in enumerate(result.tokens):
            counters.batch += 1
            counters.tokens += tokens
            counters.epoch_tokens += tokens
            counters.row_tokens += tokens
            sums[:GRAD_NORM] += losses[index]
            sums[LOST_OF_EPOCH:LOST] += lost * tokens
            if index == len(result.tokens) - 1:
                counters.step += 1
                counters.learning_rate = learning_rate
                sums[GRAD_NORM] = torch.where(counts, result.grad_norm, sums[GRAD_NORM])
                sums[LOST] = lost
            if counters.batch % self._cb_freq == 0:
                self._note_row(began + each * (index + 1))
        self._tell_rows(tell_now)
        self.tell(
            Progress(counters.batch, self._planned, counters.tokens, counters.seconds)
        )

    def tell(self, event: Event) -> None:
        """Tell of ``event``, the time for which counts as logging."""
        with self.stopwatch.during(LOGGING):
            self._tell(event)

    def round_off(self) -> None:
        """Note the row of the last mini-batch of a stage, where none was due.

        Other than ``close``, it is entered into the state: no row spans two stages.
        """
        if self._state.counters.logged_batch < self._state.counters.batch:
            self._note_row(self._state.counters.seconds)

    def flush(self) -> None:
        """Let the guard judge all steps, and tell all rows; waits for the device."""
        self._guard.check()
        tell_now, self._pending = self._pending, []
        self._tell_rows(tell_now)

    def close(self) -> None:
        """Tell the row of the last mini-batch of a run, where none was due.

        It is not entered into the state: a run that goes on later has the same rows
        as one that never ended.
        """
        self.flush()
        if self._state.counters.logged_batch < self._state.counters.batch:
            self._tell_rows([self._row(self._state.counters.seconds)])

    def pass_time(self) -> None:
        """Add the time since the last call to the run's, and to what it went into."""
        now = self._clock()
        self._state.counters.seconds += now - self._now
        self._now = now
        times = self._state.times
        for part, seconds in self.stopwatch.take().items():
            times[part] += seconds

    @property
    def epoch_loss(self) -> float | None:
        """The training objective over the epoch so far, in nats per target token."""
        sums = self._state.sums.tolist()
        tokens = self._state.counters.epoch_tokens
        return per_token(sums[NATS_OF_EPOCH], tokens, sums[LOST_OF_EPOCH])

    def _note_row(self, now: float) -> None:
        """Make a regular row of what has been entered, and begin the next."""
        counters = self._state.counters
        self._pending.append(self._row(now))
        counters.logged_batch, counters.row_tokens = counters.batch, 0
        self._state.sums[NATS_OF_ROW] = 0.0
        self._state.sums[LOST_OF_ROW] = 0.0

    def _row(self, now: float) -> tuple[StepDone, int, Reading]:
        """A row of what has been entered; ``now`` in seconds of the run."""
        counters = self._state.counters
        seconds = max(now - self._row_time, 1e-9)
        speed = (counters.tokens - self._row_tokens) / seconds
        self._row_time, self._row_tokens = now, counters.tokens
        row = StepDone(
            counters.step,
            counters.epoch,
            counters.batch,
            counters.tokens,
            0.0,
            counters.learning_rate,
            None,
            speed,
            counters.stage,
        )
        return row, counters.row_tokens, Reading(self._state.sums.clone())

    def _tell_rows(self, rows: list[tuple[StepDone, int, Reading]]) -> None:
        for row, tokens, reading in rows:
            sums = reading.numbers().tolist()
            loss = per_token(sums[NATS_OF_ROW], tokens, sums[LOST_OF_ROW])
            known = sums[GRAD_NORM] if row.step and not sums[LOST] else None
            self.tell(replace(row, loss=loss, grad_norm=known))


def per_token(nats: float, tokens: int, lost: float) -> float | None:
    """Nats for each of ``tokens`` that was not ``lost``; None if all were.

    >>> per_token(6.0, 3, 0.0), per_token(6.0, 3, 1.0), per_token(0.0, 3, 3.0)
    (2.0, 3.0, None)
    """
    if lost and lost == tokens:
        return None
    return nats / max(1, tokens - int(lost))
