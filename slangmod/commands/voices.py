"""What the processes of a run say: one speaks for all, and warnings of others reach it.

Whoever leads shows and logs what it always does. What another would warn of is passed
on at the next border of a step, and logged with its rank, unless the leader has said
the same. Errors do not wait for that: a process that hangs passes nothing on.
"""

import json
import logging
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from slangmod.parallel.team import Team
from slangmod.settings.literals import printable

LOG = logging.getLogger(__name__)

REMEMBERED = 1000
"""Warnings of the leader that the same ones of others are held against."""


class Voices(logging.Handler):
    """Hears what this process warns of, and passes it on to the leader."""

    def __init__(self, team: Team) -> None:
        super().__init__(logging.WARNING)
        self._team = team
        self._said: deque[str] = deque(maxlen=REMEMBERED)
        self._untold: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Remember what is said; of errors, also say at once who says so."""
        text = record.getMessage()
        self._said.append(text)
        if self._team.leads:
            return
        self._untold.append((record.levelno, text))
        if record.levelno >= logging.ERROR:
            self._show(text)

    @property
    def waiting(self) -> bool:
        """Whether there is something that the leader does not know."""
        return bool(self._untold)

    def exchange(self) -> None:
        """Pass on all that waits; every process must do so at the same time."""
        untold, self._untold = self._untold, []
        for rank, text in enumerate(self._team.texts(json.dumps(untold))):
            for level, said in json.loads(text):
                if self._team.leads and said not in self._said:
                    LOG.log(level, "rank %d: %s", rank, said)

    def show(self) -> None:
        """Show what could not be passed on any more; errors were shown."""
        for level, text in self._untold:
            if level < logging.ERROR:
                self._show(text)

    def _show(self, text: str) -> None:
        sys.stderr.write(f"slangmod: rank {self._team.rank}: {printable(text)}\n")
        sys.stderr.flush()


@contextmanager
def one_voice(team: Team) -> Iterator[Voices]:
    """Let only the leader show what is logged, and hear from the others."""
    voices = Voices(team)
    logger = logging.getLogger("slangmod")
    silenced = [] if team.leads else shown_by(logger)
    for handler in silenced:
        logger.removeHandler(handler)
    logger.addHandler(voices)
    try:
        yield voices
    except BaseException:
        voices.show()
        raise
    finally:
        logger.removeHandler(voices)
        for handler in silenced:
            logger.addHandler(handler)


def shown_by(logger: logging.Logger) -> list[logging.Handler]:
    """What writes to a terminal what ``logger`` is told."""
    return [one for one in logger.handlers if isinstance(one, logging.StreamHandler)]
