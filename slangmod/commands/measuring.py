"""How much memory a run takes, and how fast it is, written down while it trains."""

import logging
import time
from collections.abc import Callable
from types import SimpleNamespace

import torch

from slangmod.runs.efficiency import bottleneck, verdict
from slangmod.runs.recorders import MemoryCsv, MemoryUse, SpeedCsv
from slangmod.runs.wording import short_time
from slangmod.training.events import EpochDone, Event, Progress
from slangmod.training.memory import device_bytes, resident_bytes
from slangmod.training.state import TrainState
from slangmod.training.times import PARTS

LOG = logging.getLogger(__name__)

BETWEEN_ROWS = 2.0
"""Seconds, at least, from one row to the next that no evaluation asks for."""

BETWEEN_VERDICTS = 60.0
"""Seconds of training after which it is looked what they went into."""


class Pauses:
    """Says when a row is due: every few seconds of ``clock``, and at evaluations."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due = float("-inf")

    def over(self, event: Event) -> bool:
        """Whether ``event`` asks for a row; if so, the next pause begins."""
        if not isinstance(event, Progress | EpochDone):
            return False
        now = self._clock()
        if now < self._due and isinstance(event, Progress):
            return False
        self._due = now + BETWEEN_ROWS
        return True


class MemoryWatch:
    """A callback that measures memory now and then.

    ``state`` says how far training is; it is only read.
    """

    def __init__(
        self,
        table: MemoryCsv,
        state: TrainState,
        device: torch.device,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table, self._state, self._device = table, state, device
        self._pauses = Pauses(clock)

    def __call__(self, event: Event) -> None:
        """Append a row if one is due."""
        if self._pauses.over(event):
            counters = self._state.counters
            resident, device = resident_bytes(), device_bytes(self._device)
            self._table.add(MemoryUse(counters.step, counters.batch, resident, device))


class SpeedWatch:
    """A callback that writes speed.csv, and warns of each part that takes too long.

    Each row is about the time since the last, or since this was made. ``best_speed``:
    tokens per second that the device could learn from at its peak.
    """

    def __init__(
        self,
        table: SpeedCsv,
        state: TrainState,
        best_speed: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table, self._state, self._best = table, state, best_speed
        self._pauses = Pauses(clock)
        self._tokens, self._seconds = state.counters.tokens, state.counters.seconds
        self._times, self._judged = dict(state.times), dict(state.times)
        self._told: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Append a row if one is due and time has passed."""
        seconds = self._state.counters.seconds - self._seconds
        if self._pauses.over(event) and seconds > 0:
            self._write(seconds)
            self._judge()

    def _write(self, seconds: float) -> None:
        """Tell what came of the ``seconds`` since the last row."""
        counters, times = self._state.counters, self._state.times
        speed = (counters.tokens - self._tokens) / seconds
        row = {part: times[part] - self._times[part] for part in PARTS}
        self._table.add(
            SimpleNamespace(
                step=counters.step,
                batch=counters.batch,
                tokens=counters.tokens,
                seconds=counters.seconds,
                tokens_per_second=speed,
                mfu=speed / self._best,
                **row,
            )
        )
        self._tokens, self._seconds = counters.tokens, counters.seconds
        self._times = dict(times)

    def _judge(self) -> None:
        """Warn if much of the time since the last look was not spent on learning."""
        times = self._state.times
        since = {part: times[part] - self._judged[part] for part in PARTS}
        if sum(since.values()) < BETWEEN_VERDICTS:
            return
        self._judged = dict(times)
        part = bottleneck(since)
        if part is not None and part not in self._told:
            self._told.add(part)
            LOG.warning(
                "of the last %s, %s", short_time(sum(since.values())), verdict(since)
            )
