"""Signals that end an action at once, wherever it is."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from slangmod.commands.postponing import BrokenOffError, Postponing, in_words

STOPPING: Final = {
    name: getattr(signal, name)
    for name in ("SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT")
    if hasattr(signal, name)
}

PATIENCE: Final = 5.0
"""Seconds that a library which is deep in its work may leave a signal unheeded."""


@contextmanager
def broken_off_by_signals(
    leave: Callable[[int], object] = os._exit, patience: float = PATIENCE
) -> Iterator[None]:
    """Let signals end what the block does, so that it tidies up behind itself.

    Ctrl-C raises KeyboardInterrupt, any other BrokenOffError, and a signal that is
    ignored stays so. Python hears of signals between two of its own instructions: where
    a library does not return to it for ``patience`` seconds, the process ends by
    ``leave(128 + number)``. What was being written then is swept away by the next who
    writes there. A signal that comes while a module is imported waits for that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heeded, postponing = threading.Event(), Postponing()

    def heed(number: int, frame: FrameType | None) -> None:
        if postponing.postponed(number, frame):
            return
        postponing.withdraw()
        heeded.set()
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise BrokenOffError(number)

    before = {
        number: signal.signal(number, heed)
        for number in STOPPING.values()
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    former = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watching = (reading, heeded, leave, patience)
    threading.Thread(target=_watch, args=watching, daemon=True).start()
    try:
        with postponing:
            yield
    finally:
        heeded.set()
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(former)
        os.close(writing)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let signals end the process where it is, with nothing there to be tidied up.

    What is ignored stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, signal.SIG_DFL)
        for number in STOPPING.values()
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(
    reading: int,
    heeded: threading.Event,
    leave: Callable[[int], object],
    patience: float,
) -> None:
    """End the process if a signal is not heeded; until ``reading`` is closed."""
    while number := os.read(reading, 1):
        if number[0] in STOPPING.values() and not heeded.wait(patience):
            sys.stderr.write(f"slangmod: error: {in_words(number[0])}\n")
            sys.stderr.flush()
            leave(128 + number[0])
    os.close(reading)
