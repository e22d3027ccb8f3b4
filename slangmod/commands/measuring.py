"""How much memory a run takes, written down while it trains."""

import time
from collections.abc import Callable

import torch

from slangmod.runs.recorders import MemoryCsv, MemoryUse
from slangmod.training.events import EpochDone, Event, Progress
from slangmod.training.memory import device_bytes, resident_bytes
from slangmod.training.state import TrainState

BETWEEN_ROWS = 2.0
"""Seconds, at least, from one row to the next that no evaluation asks for."""


class MemoryWatch:
    """A callback that measures every few seconds of ``clock``, and at evaluations.

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
        self._clock = clock
        self._due = float("-inf")

    def __call__(self, event: Event) -> None:
        """Append a row if one is due."""
        if not isinstance(event, Progress | EpochDone):
            return
        now = self._clock()
        if now < self._due and isinstance(event, Progress):
            return
        self._due = now + BETWEEN_ROWS
        counters = self._state.counters
        resident, device = resident_bytes(), device_bytes(self._device)
        self._table.add(MemoryUse(counters.step, counters.batch, resident, device))
