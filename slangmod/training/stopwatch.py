"""Tells what time goes into, by a few looks at the clock in each step.

On a GPU nothing waits for it: the device passes marks as it comes to them, and they
are read when they lie behind it, a step late.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from slangmod.training.times import (
    CHECKPOINT,
    DATA,
    EVALUATION,
    LEARNING,
    LOGGING,
    REST,
    Seconds,
    no_seconds,
)


class Stopwatch:
    """At any time one part of the work is under way, so that all time counts once."""

    def __init__(
        self, clock: Callable[[], float], marks: "DeviceMarks | None" = None
    ) -> None:
        self._clock, self._marks = clock, marks
        self._part, self._since = REST, clock()
        self._seconds = no_seconds()

    def turn_to(self, part: str) -> str:
        """From now on ``part`` is under way; -> what was until now."""
        now, before = self._clock(), self._part
        self._seconds[before] += now - self._since
        self._part, self._since = part, now
        if self._marks is not None and (part in LEARNING or before in LEARNING):
            self._marks.set(part)
        return before

    @contextmanager
    def during(self, part: str) -> Iterator[None]:
        """``part`` is under way while the block runs."""
        before = self.turn_to(part)
        try:
            yield
        finally:
            self.turn_to(before)

    def take(self) -> Seconds:
        """The seconds since the last call, by what they went into."""
        now = self._clock()
        self._seconds[self._part] += now - self._since
        self._since = now
        taken, self._seconds = self._seconds, no_seconds()
        return taken if self._marks is None else self._marks.corrected(taken)


class DeviceMarks:
    """How long a GPU learns, as it tells itself; what the host sees is queueing.

    The host's times of evaluations and checkpoints stand, for it waits for them. Of
    the rest the device has so much for forward, backward and optimizer as lies between
    its marks; while it had nothing to do, the host read data, logged or did other
    things, in proportion to the time that it took for each.
    """

    def __init__(self, event: Callable[[], Any]) -> None:
        self._event = event
        self._passed: deque[tuple[str, Any]] = deque()
        self._owed = dict.fromkeys(LEARNING, 0.0)

    def set(self, part: str) -> None:
        """Queue a mark: behind it the device is at ``part``."""
        mark = self._event()
        mark.record()
        self._passed.append((part, mark))

    def corrected(self, host: Seconds) -> Seconds:
        """The ``host``'s seconds as the device has them; their sum stays the same.

        What the device did in more time than the host has seen is owed until later.
        """
        self._read()
        waited = host[EVALUATION] + host[CHECKPOINT]
        room = sum(host.values()) - waited
        owed = sum(self._owed.values())
        share = min(1.0, room / owed) if owed else 0.0
        seconds = no_seconds()
        for part in LEARNING:
            seconds[part] = share * self._owed[part]
            self._owed[part] -= seconds[part]
        idle = max(0.0, room - share * owed)
        busy = sum(host[part] for part in (DATA, LOGGING, REST))
        for part in (DATA, LOGGING, REST):
            seconds[part] = idle * host[part] / busy if busy else 0.0
        if not busy:
            seconds[REST] = idle
        seconds[EVALUATION], seconds[CHECKPOINT] = host[EVALUATION], host[CHECKPOINT]
        return seconds

    def _read(self) -> None:
        """Take what lies between marks that the device has passed."""
        while len(self._passed) > 1 and self._passed[1][1].query():
            part, begin = self._passed.popleft()
            if part in LEARNING:
                milliseconds = begin.elapsed_time(self._passed[0][1])
                self._owed[part] += milliseconds / 1000


def marks_for(device: torch.device) -> DeviceMarks | None:
    """What tells how long ``device`` learns, where it works behind the host's back."""
    if device.type != "cuda":
        return None
    return DeviceMarks(lambda: torch.cuda.Event(enable_timing=True))  # type: ignore[no-untyped-call]


def stopwatch_for(device: torch.device) -> Stopwatch:
    """A stopwatch for training on ``device``."""
    return Stopwatch(time.perf_counter, marks_for(device))
