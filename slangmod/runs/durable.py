"""Lines that outlive a full disk, with one complaint a minute while it lasts."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from slangmod.growing import Growing

LOG = logging.getLogger(__name__)

BETWEEN_COMPLAINTS = 60.0
"""Seconds."""


class Lines:
    """A text file that grows by whole lines; trouble with it never raises.

    ``clock`` gives seconds and is read only when something went wrong.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._file = Growing(path)
        self._clock = clock
        self._complain_after = float("-inf")

    def add(self, line: str) -> None:
        """Append ``line`` and a line feed; the system has it on return."""
        self._heed(self._file.add((line + "\n").encode("utf-8", "backslashreplace")))

    def sync(self) -> OSError | None:
        """Make every line durable; -> what keeps the disk from it, if anything."""
        error = self._file.sync()
        self._heed(error)
        return error

    def renew(self, head: str = "") -> None:
        """Begin the file again, with ``head``, where it was removed meanwhile."""
        if self._file.gone:
            self._file.begin_again(head.encode("utf-8"))

    def close(self) -> None:
        """Let go of the file."""
        error = self._file.close()
        if error is not None:
            LOG.warning("%s: its last lines are lost: %s", self.path, error.strerror)
        elif self._file.lost:
            LOG.warning("%s: %d bytes of it are lost", self.path, self._file.lost)

    def _heed(self, error: OSError | None) -> None:
        if error is None or (now := self._clock()) < self._complain_after:
            return
        self._complain_after = now + BETWEEN_COMPLAINTS
        LOG.warning(
            "%s: cannot be written now: %s; its lines wait in memory, training goes on",
            self.path,
            error.strerror,
        )
