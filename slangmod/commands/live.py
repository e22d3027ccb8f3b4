"""A line at the foot of the terminal that says how far a long action is."""

import logging
from types import TracebackType
from typing import Self, TextIO

WIPE = "\r\x1b[K"
"""Back to the beginning of the line, which becomes empty."""


class LiveLine:
    """Shown on a terminal only; lines of the log appear above it."""

    def __init__(self, stream: TextIO, wanted: bool) -> None:
        self._stream = stream
        self._wanted = wanted and stream.isatty()
        self._text = ""
        self._handlers: list[logging.Handler] = []

    def __enter__(self) -> Self:
        """Make way for lines of the log from now on."""
        for handler in logging.getLogger("slangmod").handlers:
            if getattr(handler, "stream", None) is self._stream:
                handler.addFilter(self._make_way)
                self._handlers.append(handler)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wipe the line."""
        self.show("")
        for handler in self._handlers:
            handler.removeFilter(self._make_way)

    def show(self, text: str) -> None:
        """Let the line say ``text``."""
        if self._wanted and (text or self._text):
            self._stream.write(WIPE + text)
            self._stream.flush()
        self._text = text

    def _make_way(self, record: logging.LogRecord) -> bool:
        """Wipe the line before ``record`` is printed; it is drawn anew after."""
        del record
        self.show("")
        return True
