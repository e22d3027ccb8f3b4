"""The workers on one study: each gives signs of life, and takes over from the dead.

A worker is known by a word of chance, the home of its trials. The study keeps a count
for each, which a living one raises every few seconds: no clock but one's own is looked
at, and whatever keeps the study is all that workers need to have in common.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from slangmod.search.study import RUNNING, Record, Study

LOG = logging.getLogger(__name__)

SECONDS_BETWEEN_BEATS: Final = 10.0
SECONDS_BETWEEN_LOOKS: Final = 1.0
SECONDS_UNTIL_DEAD: Final = 60.0
"""Without a sign of life, after which the trials of a worker go to others."""

GONE: Final = -1
"""The count of a worker that has left."""


@dataclass
class Neighbours:
    """The others on ``study``, as the worker called ``home`` sees them."""

    study: Study
    home: str
    clock: Callable[[], float] = time.monotonic
    _count: int = 0
    _next_beat: float = -math.inf
    _next_look: float = -math.inf
    _seen: dict[str, tuple[int | None, float]] = field(default_factory=dict)
    """the last count of each home, and since when it is that"""
    _at_work: tuple[Record, ...] = ()

    def beat(self) -> None:
        """Give a sign of life, if it is time."""
        if self.clock() >= self._next_beat:
            self._count += 1
            self.study.count_for(self.home, self._count)
            self._next_beat = self.clock() + SECONDS_BETWEEN_BEATS

    def leave(self) -> None:
        """Let others know that whatever has not ended is theirs."""
        self.study.count_for(self.home, GONE)

    def at_work(self) -> tuple[Record, ...]:
        """The trials of others that have not ended, as of a second ago."""
        if self.clock() >= self._next_look:
            self._next_look = self.clock() + SECONDS_BETWEEN_LOOKS
            counts, now = self.study.counts(), self.clock()
            self._at_work = tuple(
                record
                for record in self.study.records()
                if record.state == RUNNING and record.home != self.home
            )
            for home in {record.home for record in self._at_work}:
                count = counts.get(home)
                if home not in self._seen or self._seen[home][0] != count:
                    self._seen[home] = count, now
        return self._at_work

    def orphan(self) -> Record | None:
        """A trial of a worker that is dead or has left; from now on it is ours."""
        for record in self.at_work():
            if self.is_dead(record.home) and self.study.take_over(record, self.home):
                LOG.info("trial %d was left by its worker; it goes on", record.number)
                self._next_look = -math.inf
                return replace(record, home=self.home)
        return None

    def is_dead(self, home: str) -> bool:
        """Whether a worker has left, or has given no sign of life for long."""
        count, since = self._seen[home]
        return count == GONE or self.clock() - since >= SECONDS_UNTIL_DEAD
