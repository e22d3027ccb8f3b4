"""Standard streams that outlive who reads them.

A terminal may be closed or stopped, a pipe's reader may go or not read, a disk may be
full: none of that is a reason to lose what is being computed, or to wait with it.
"""

import atexit
import io
import os
import select
import sys
from contextlib import suppress
from typing import Final

BY_SIGNALS = {75, *range(128, 160)}
"""Exit codes of a program that a signal has ended."""


PATIENCE: Final = 10.0
"""Seconds that somebody may leave unread what is to be read."""

MISSED: Final = b"\n[nobody read on; what came meanwhile is not shown]\n"

PIECE: Final = 512
"""Bytes that a pipe takes at once if it takes any (POSIX)."""


class Forgiving(io.FileIO):
    """A descriptor to write to; what cannot be written is dropped.

    Who does not read on is waited for once, for ``PATIENCE`` seconds; then what comes
    is dropped until there is room again.
    """

    _deaf = False

    def write(self, content: "io.ReadableBuffer") -> int:  # type: ignore[name-defined]
        """Write ``content``, or what of it can be; -> its size either way, in bytes."""
        view = memoryview(content).cast("B")
        with suppress(OSError):
            self._write_all(view)
        return view.nbytes

    def _write_all(self, content: memoryview) -> None:
        missed = MISSED if self._deaf and self._takes(0.0) else b""
        for whole in (memoryview(missed), content):
            for begin in range(0, whole.nbytes, PIECE):
                if not self._takes(0.0 if self._deaf else PATIENCE):
                    self._deaf = True
                    return
                self._deaf = False
                super().write(whole[begin : begin + PIECE])

    def _takes(self, seconds: float) -> bool:
        """Whether there is room, or no use in waiting, within so many seconds."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        return bool(poll.poll(1000 * seconds))


def keep_streams() -> None:
    """Give this process standard streams that are there, and errors that never fail.

    Where a descriptor is closed, the next file opened would get its number, and with
    it what libraries print.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    if sys.stdout is None:
        sys.stdout = _text(io.FileIO(1, "w", closefd=False))
    sys.stderr = _text(Forgiving(_apart(2), "w", closefd=False))


def _apart(descriptor: int) -> int:
    """Another descriptor of the same file, which stays when libraries are silenced."""
    try:
        return os.dup(descriptor)
    except OSError:
        return descriptor


def _text(raw: io.FileIO) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(raw), errors="backslashreplace", line_buffering=True
    )


def leave(code: int, *, among_others: bool = False) -> None:
    """End the program with ``code``, whatever has become of its streams.

    After a signal, at once: threads and processes that still compile are not waited
    for. ``among_others``, which torchrun has started: threads by which processes talk
    are not waited for, either; some abort the program when the interpreter ends.
    """
    if among_others and code not in BY_SIGNALS:
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            # What is still buffered would raise once more when the interpreter ends.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if among_others or code in BY_SIGNALS:
        os._exit(code)
    sys.exit(code)
