"""train.log: one line per log record, whatever the record holds.

Records that come before the run has a folder wait in memory until ``open``.
"""

import logging
import os
from pathlib import Path

from slangmod.complaints import Complaints
from slangmod.errors import StoppedError
from slangmod.reading import open_regular
from slangmod.runs.durable import Lines
from slangmod.settings.literals import printable

FORMAT = "%(asctime)s.%(msecs)03d %(levelname)-8s %(message)s"
DATES = "%Y-%m-%d %H:%M:%S"


def is_torn(path: Path) -> bool:
    """Whether the last line of ``path`` lacks its end."""
    try:
        with open_regular(path) as stream:
            stream.seek(-1, os.SEEK_END)
            return stream.read() != b"\n"
    except OSError:
        return False


class RunLog(logging.Handler):
    """A logging handler that writes a run's log, and remembers what came before it.

    Usage: attach it early, ``open`` it when the run's folder is there, ``close`` it
    at the end. A disk that refuses lines never raises.
    """

    def __init__(
        self,
        level: int | str = logging.INFO,
        complaints: Complaints | None = None,
    ) -> None:
        super().__init__(level)
        self.setFormatter(logging.Formatter(FORMAT, DATES))
        self._early: list[str] = []
        self._lines: Lines | None = None
        self.complaints = complaints or Complaints()

    def open(self, path: Path) -> None:
        """Write to ``path`` from now on, what was remembered first."""
        self._lines = Lines(path, self.complaints)
        if is_torn(path):
            self._lines.add("")
        for line in self._early:
            self._lines.add(line)
        self._early.clear()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one line."""
        line = printable(self.format(record))
        if self._lines is None:
            self._early.append(line)
        else:
            self._lines.add(line)

    def end_with(self, error: Exception) -> None:
        """Add what ended the run before its time, which others show elsewhere."""
        level = logging.INFO if isinstance(error, StoppedError) else logging.ERROR
        if level >= self.level:
            text = " ".join(str(error).splitlines()) or type(error).__name__
            self.handle(logging.LogRecord("slangmod", level, "", 0, text, None, None))

    def sync(self) -> None:
        """Make all lines durable."""
        if self._lines is not None:
            self._lines.renew()
            self._lines.sync()

    def close(self) -> None:
        """Let go of the file and of logging, and tell what the run has lost."""
        if self._lines is not None:
            self._lines.close()
            self._lines = None
        self.complaints.tell_lost()
        super().close()
