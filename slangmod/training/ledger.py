"""Keeps the books of a run: counters, sums of losses, and the rows made of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from slangmod.training.events import Callback, Progress, StepDone
from slangmod.training.guard import Guard
from slangmod.training.state import TrainState
from slangmod.training.step import StepResult

NATS_OF_EPOCH, NATS_OF_ROW, GRAD_NORM = range(3)
"""Places in ``TrainState.sums``."""


class Reading:
    """Numbers on their way from the device, to be read without waiting for it."""

    def __init__(self, numbers: Tensor) -> None:
        self._event: Any = None
        self._numbers = numbers
        if numbers.device.type == "cuda":
            self._numbers = torch.empty_like(numbers, device="cpu", pin_memory=True)
            self._numbers.copy_(numbers, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()

    def numbers(self) -> Tensor:
        """The numbers, in host memory; waits only for what was queued before them."""
        if self._event is not None:
            self._event.synchronize()
        return self._numbers


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
    ) -> None:
        self._state, self._guard, self._cb_freq = state, guard, cb_freq
        self._planned, self._tell, self._clock = planned, tell, clock
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

    def enter(self, result: StepResult, learning_rate: float) -> None:
        """Enter an optimizer step that has been taken, and the rows that are due."""
        counters, sums = self._state.counters, self._state.sums
        began = counters.seconds
        self.pass_time()
        each = (counters.seconds - began) / len(result.tokens)
        tell_now, self._pending = self._pending, []
        for index, tokens in enumerate(result.tokens):
            counters.batch += 1
            counters.tokens += tokens
            counters.epoch_tokens += tokens
            counters.row_tokens += tokens
            sums[:GRAD_NORM] += result.losses[index]
            if index == len(result.tokens) - 1:
                counters.step += 1
                counters.learning_rate = learning_rate
                sums[GRAD_NORM] = result.grad_norm
            if counters.batch % self._cb_freq == 0:
                self._note_row(began + each * (index + 1))
        self._tell_rows(tell_now)
        self._tell(
            Progress(counters.batch, self._planned, counters.tokens, counters.seconds)
        )

    def round_off(self) -> None:
        """Note the row of the last mini-batch of a stage, where none was due.

        Other than ``close``, it is entered into the state: no row spans two stages.
        """
        if self._state.counters.logged_batch < self._state.counters.batch:
            self._note_row(self._state.counters.seconds)

    def flush(self) -> None:
        """Tell all rows, waiting for the device; raises RunError if a step was bad."""
        tell_now, self._pending = self._pending, []
        self._tell_rows(tell_now)
        self._guard.check()

    def close(self) -> None:
        """Tell the row of the last mini-batch of a run, where none was due.

        It is not entered into the state: a run that goes on later has the same rows
        as one that never ended.
        """
        self.flush()
        if self._state.counters.logged_batch < self._state.counters.batch:
            self._tell_rows([self._row(self._state.counters.seconds)])

    def pass_time(self) -> None:
        """Add the time since the last call to the seconds of the run."""
        now = self._clock()
        self._state.counters.seconds += now - self._now
        self._now = now

    @property
    def epoch_loss(self) -> float:
        """The training objective over the epoch so far, in nats per target token."""
        nats = float(self._state.sums[NATS_OF_EPOCH])
        return nats / max(1, self._state.counters.epoch_tokens)

    def _note_row(self, now: float) -> None:
        """Make a regular row of what has been entered, and begin the next."""
        counters = self._state.counters
        self._pending.append(self._row(now))
        counters.logged_batch, counters.row_tokens = counters.batch, 0
        self._state.sums[NATS_OF_ROW] = 0.0

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
        numbers = torch.cat((self._state.sums, self._guard.verdict))
        return row, counters.row_tokens, Reading(numbers)

    def _tell_rows(self, rows: list[tuple[StepDone, int, Reading]]) -> None:
        for row, tokens, reading in rows:
            numbers = reading.numbers()
            self._guard.judge(numbers[GRAD_NORM + 1 :])
            nats, norm = numbers[NATS_OF_ROW].item(), numbers[GRAD_NORM].item()
            known = norm if row.step else None
            self._tell(replace(row, loss=nats / max(1, tokens), grad_norm=known))
