"""Delivers what a run tells to a tracker, from a thread of its own.

Training never waits for a tracker and never fails because of one. A tracker that
fails is warned about once, tried again after growing pauses, and said to work when it
does. What it says is logged by the thread that trains, at the next event.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from slangmod.runs.tracker import KILLED, Ending, Opener, Row, Tracker
from slangmod.settings.secrets import without_passwords

LOG = logging.getLogger(__name__)

LONGEST_REASON = 300
"""Characters of an error that are shown."""


@dataclass(frozen=True)
class Pace:
    """How often and how patiently a tracker is served; seconds, but for ``room``."""

    interval: float = 2.0
    """from one batch to the next"""
    first_pause: float = 2.0
    """after the first failure; doubled by each further one"""
    longest_pause: float = 120.0
    last_pause: float = 1.0
    """from one try to the next when the run has ended"""
    patience: float = 10.0
    """for a tracker that fails, or a run that was told to stop, at the end"""
    long_patience: float = 60.0
    """at the end, for a tracker that works; ten times as long if it takes files"""
    silence: float = 2.0
    """after which it is said that all is waiting for the tracker"""
    room: int = 20_000
    """rows that wait at most; then the oldest give way"""


class Delivery:
    """Rows on their way to the tracker called ``name``.

    ``put`` takes microseconds. The thread begins with the first row, so that a run
    that never began is never told of.
    """

    def __init__(
        self,
        name: str,
        opener: Opener,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._opener = opener
        self._pace = pace or Pace()
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[Row] = deque()
        self._under_way = 0  # rows at the head that the tracker is being sent
        self._lost = 0
        self._late = 0
        self._ending: Ending | None = None
        self._ended, self._given_up = threading.Event(), threading.Event()
        self._pause = 0.0  # above 0 while the tracker fails
        self._tracker: Tracker | None = None
        self._over = False
        self._news: deque[tuple[int, str]] = deque()
        self._thread = threading.Thread(
            target=self._work, name=f"tracker-{name}", daemon=True
        )

    def put(self, row: Row) -> None:
        """Queue ``row``; where there is no room left the oldest is lost."""
        with self._lock:
            if len(self._waiting) - self._under_way >= self._pace.room:
                self._lost += len(self._waiting[self._under_way].values)
                del self._waiting[self._under_way]
            self._waiting.append(row)
        if self._thread.ident is None:
            with suppress(RuntimeError):  # no more threads just now; the next row may
                self._thread.start()

    def end(self, ending: Ending) -> None:
        """Say that there will be no more rows; does not wait."""
        self._ending = ending
        self._ended.set()

    def wait(self) -> None:
        """Wait, but not for ever, until all has arrived; then say what has not."""
        if self._thread.ident is None:
            return
        began = self._clock()
        said = False
        while self._thread.is_alive() and self._clock() - began < self._patience():
            self._thread.join(0.05)
            if not said and self._clock() - began > self._pace.silence:
                said = True
                LOG.info("%s: waiting until it has got everything", self.name)
        self._given_up.set()
        self.speak()
        with self._lock:
            lost = self._lost + sum(len(row.values) for row in self._waiting)
        if lost or not self._over:
            untold = "" if self._over else ", nor is how the run ended"
            LOG.warning(
                "%s: %d numbers have not arrived there%s; all are in the run's own "
                "tables",
                self.name,
                lost,
                untold,
            )

    def speak(self) -> None:
        """Log what the thread has to say."""
        while self._news:
            LOG.log(*self._news.popleft())

    def _patience(self) -> float:
        ending, pace = self._ending, self._pace
        if self._pause or ending is None or ending.status == KILLED:
            return pace.patience
        return pace.long_patience * (10 if ending.files else 1)

    def _work(self) -> None:
        while not self._over and not self._given_up.is_set():
            self._ended.wait(self._pause or self._pace.interval)
            try:
                self._deliver()
            except Exception as error:  # whatever a package or a server may raise
                self._heed(error)
                if self._ended.is_set():
                    self._given_up.wait(self._pace.last_pause)
        self._let_go()

    def _deliver(self) -> None:
        """Open the tracker if need be, and pass on all that waits."""
        if self._tracker is None:
            self._tracker = self._opener()
        ending = self._ending
        while not self._given_up.is_set() and (rows := self._next()):
            self._tracker.send(rows)
            with self._lock:
                for _ in rows:
                    self._waiting.popleft()
                self._under_way = 0
            self._late += sum(len(row.values) for row in rows)
        if ending is not None and not self._given_up.is_set():
            self._tracker.end(ending)
            self._over = True
        if self._pause:
            self._pause = 0.0
            text = f"{self.name}: works again; {self._late} numbers arrived late"
            self._news.append((logging.INFO, text))
        self._late = 0

    def _next(self) -> tuple[Row, ...]:
        """The rows to send now, which stay in the queue until they have arrived."""
        with self._lock:
            rows = tuple(islice(self._waiting, 200))
            self._under_way = len(rows)
            return rows

    def _heed(self, error: Exception) -> None:
        """Let go of the tracker, and warn if it worked until now."""
        with self._lock:
            self._under_way = 0
        self._let_go()
        if not self._pause:
            reason = " ".join(str(error).split()) or type(error).__name__
            text = (
                f"{self.name}: cannot be told of the run now: "
                f"{without_passwords(reason)[:LONGEST_REASON]}; training goes on, and "
                "it is tried again"
            )
            self._news.append((logging.WARNING, text))
        longer = max(self._pace.first_pause, 2 * self._pause)
        self._pause = min(longer, self._pace.longest_pause)

    def _let_go(self) -> None:
        if self._tracker is not None:
            with suppress(Exception):  # it is of no more use, whatever it says
                self._tracker.close()
            self._tracker = None
