"""Notices that a run hangs, says where the program stands, and may end it.

A thread looks every so often whether anything has been done since. It measures by a
clock that cannot be set, and counts only time in which it could look: a machine that
was suspended, or a process that was stopped, does not hang. Where it cannot look since
Python itself stands still, a process beside this one notices that it does not.
"""

import logging
import os
import statistics
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from slangmod.commands.lookout import Lookout
from slangmod.files import write_text
from slangmod.runs.directory import RunDir
from slangmod.runs.wording import short_time
from slangmod.settings.derived import seconds_of
from slangmod.settings.literals import printable
from slangmod.settings.surviving import Guard
from slangmod.training.events import Event, Progress

LOG = logging.getLogger(__name__)

TIMES: Final = 10
"""A step hangs that takes so many times as long as the median of others."""

GENEROUS: Final = 6
"""What is slow by its nature, such as compiling, has so many times the set limit."""

STEPS: Final = 128
"""Steps whose median counts."""

SOON: Final = 0.5
"""Seconds after which a process begins to look from outside."""

LOOKS, LONGEST_PAUSE = 20, 5.0
"""How often it is looked while a limit passes; seconds between looks, at most."""

SECONDS_TO_TELL: Final = 10.0
"""How long telling may take before the process ends; a disk may be what hangs."""


class Watchdog:
    """A context in which somebody watches that work goes on, unless that is unset.

    ``alive`` is to be called whenever something has been done, be it a mini-batch of an
    evaluation; as a callback it learns how long steps take. ``step`` tells how many
    steps are done and ``sum_up`` writes down why the run has ended: both may be set
    once they are known.
    """

    def __init__(
        self,
        run: RunDir,
        guard: Guard,
        clock: Callable[[], float] = time.monotonic,
        leave: Callable[[int], object] = os._exit,
        rank: int = 0,
    ) -> None:
        self._run, self._clock, self._leave, self._rank = run, clock, leave, rank
        limit = guard.hang_time
        self._limit = None if limit is None else seconds_of(limit)
        self._ends = guard.on_hang == "stop"
        self._durations: deque[float] = deque(maxlen=STEPS)
        self._last_step: float | None = None
        self._slow = "starting"
        self._count = 0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._lookout = Lookout()
        self.step: Callable[[], int] = int
        self.sum_up: Callable[[str], None] | None = None

    def __enter__(self) -> Self:
        """Begin to watch."""
        if self._limit is not None:
            self._thread = threading.Thread(
                target=self._watch, args=(self._limit,), name="watchdog", daemon=True
            )
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Watch no longer."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        self._lookout.end()

    def alive(self) -> None:
        """Note that something has been done."""
        self._count += 1

    def __call__(self, event: Event) -> None:
        """Note a step, and how long it took."""
        if not isinstance(event, Progress):
            return
        now = self._clock()
        if self._last_step is not None:
            self._durations.append(now - self._last_step)
        self._last_step = now
        self._slow = ""
        self.alive()

    @contextmanager
    def slow(self, what: str) -> Iterator[None]:
        """Have patience while ``what`` is being done, ``saving`` say."""
        before, self._slow = self._slow, what
        self.alive()
        try:
            yield
        finally:
            self._slow = before
            self.alive()

    def limit(self, least: float) -> float:
        """Seconds without anything done after which it hangs; ``least`` as is set."""
        steps = [*self._durations]
        if self._slow or not steps:
            return GENEROUS * least
        return max(least, TIMES * statistics.median(steps))

    def _watch(self, least: float) -> None:
        pause = min(least / LOOKS, LONGEST_PAUSE)
        # To start a process takes about as long as the shortest of runs.
        if self._over.wait(min(pause, SOON)):
            return
        self._lookout.begin()
        self._put_off(least)
        seen, quiet, told, before = self._count, 0.0, False, self._clock()
        while not self._over.wait(pause):
            now = self._clock()
            quiet += min(now - before, 2 * pause)
            before = now
            self._put_off(least)
            if self._count != seen:
                seen, quiet, told = self._count, 0.0, False
            elif quiet > self.limit(least) and not told:
                told = True
                self._alarm(quiet)

    def _put_off(self, least: float) -> None:
        """Let it be known that Python runs, and what is so if it does not again."""
        limit = self.limit(least)
        where = f"some time after step {self.step()}, in a library that keeps Python"
        file, message = self._told(limit, where)
        self._lookout.put_off(limit, file, printable(message), ends=self._ends)

    def _told(self, quiet: float, where: str) -> tuple[Path, str]:
        """Where stacks go if nothing was done for ``quiet`` seconds; what to say."""
        file = self._run.hang_file(self.step(), self._rank)
        message = (
            f"nothing was done for {short_time(quiet)} {where}: it hangs; {file} says "
            "where the program stands"
        )
        if self._ends:
            message += "; ending the run, `slangmod resume` continues from its last "
            message += "checkpoint"
        return file, message

    def _alarm(self, quiet: float) -> None:
        """Tell of it, and end the process if that is asked for."""
        doing = f"while {self._slow} " if self._slow else ""
        file, message = self._told(quiet, f"{doing}after step {self.step()}")
        stacks = "\n".join([message, "", *_stacks()])
        # Each by itself: what hangs may be the disk, or hold the lock of a log.
        tasks = [
            lambda: LOG.error("%s", message),
            lambda: write_text(file, stacks),
            lambda: self._sum_up(message),
        ]
        threads = [threading.Thread(target=task, daemon=True) for task in tasks]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + SECONDS_TO_TELL
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._ends:
            self._leave(1)

    def _sum_up(self, message: str) -> None:
        if self._ends and self.sum_up is not None:
            self.sum_up(message)


def _stacks() -> Iterator[str]:
    """Where each thread stands, the innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for number, frame in sys._current_frames().items():
        if number != threading.get_ident():
            yield f"thread {names.get(number, 'without a name')}:"
            yield "".join(traceback.format_stack(frame))
