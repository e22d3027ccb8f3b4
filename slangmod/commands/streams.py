"""Standard streams that outlive who reads them.

A terminal may be closed, a pipe's reader may go, a disk may be full: none of that is a
reason to lose what is being computed.
"""

import atexit
import io
import os
import sys
from contextlib import suppress

BY_SIGNALS = {75, *range(128, 160)}
"""Exit codes of a program that a signal has ended."""


class Forgiving(io.FileIO):
    """A descriptor to write to; what cannot be written is dropped."""

    def write(self, content: "io.ReadableBuffer") -> int:  # type: ignore[name-defined]
        """Write ``content``, or nothing at all; -> its size either way, in bytes."""
        size = memoryview(content).nbytes
        try:
            done = super().write(content)
        except OSError:
            return size
        return size if done is None else done


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
    sys.stderr = _text(Forgiving(2, "w", closefd=False))


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
