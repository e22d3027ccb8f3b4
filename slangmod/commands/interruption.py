"""Signals that end an action at once, wherever it is."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final

from slangmod.errors import SlangmodError

STOPPING: Final = {
    name: getattr(signal, name)
    for name in ("SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT")
    if hasattr(signal, name)
}

AGAIN: Final = 0.05
"""Seconds after which a signal comes again that was swallowed."""

PATIENCE: Final = 5.0
"""Seconds that a library which is deep in its work may leave a signal unheeded."""


class BrokenOffError(BaseException):
    """A signal ends the program; nothing may catch it on the way but to tidy up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        """Which signal it was, in words."""
        return in_words(self.number)


def name_of(number: int) -> str:
    """What a signal is called."""
    return signal.Signals(number).name


def in_words(number: int) -> str:
    """What is said of an action that a signal has ended."""
    return f"stopped by {name_of(number)}; nothing half-written is left"


@contextmanager
def broken_off_by_signals(
    leave: Callable[[int], object] = os._exit, patience: float = PATIENCE
) -> Iterator[None]:
    """Let signals end what the block does, so that it tidies up behind itself.

    Ctrl-C raises KeyboardInterrupt, any other BrokenOffError, and a signal that is
    ignored stays so. Python hears of signals between two of its own instructions: where
    a library does not return to it for ``patience`` seconds, the process ends by
    ``leave(128 + number)``. What was being written then is swept away by the next who
    writes there. An error that a library makes of a signal, as some do that are just
    being loaded, counts as the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heeded = threading.Event()
    raised: list[tuple[float, BaseException]] = []

    def heed(number: int, frame: FrameType | None) -> None:
        del frame
        heeded.set()
        error = (
            KeyboardInterrupt() if number == signal.SIGINT else BrokenOffError(number)
        )
        raised.append((time.monotonic(), error))
        raise error

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
        with nothing_swallowed(), nothing_renamed(raised, patience):
            yield
    finally:
        heeded.set()
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(former)
        os.close(writing)


@contextmanager
def nothing_renamed(
    raised: Sequence[tuple[float, BaseException]], patience: float
) -> Iterator[None]:
    """Take an error of others for the last of ``raised``, if it was not long ago."""
    try:
        yield
    except Exception as error:
        known = isinstance(error, SlangmodError)
        if known or not raised or time.monotonic() - raised[-1][0] > patience:
            raise
        raise raised[-1][1] from error


@contextmanager
def nothing_swallowed() -> Iterator[None]:
    """Send a signal once more if Python drops what it raises.

    It does wherever it is just calling something of its own accord, such as what
    weak references ask for, of which compiling is full.
    """
    former, timers = sys.unraisablehook, list[threading.Timer]()

    def hook(dropped: "sys.UnraisableHookArgs") -> None:
        error = dropped.exc_value
        if not isinstance(error, BrokenOffError | KeyboardInterrupt):
            former(dropped)
            return
        number = getattr(error, "number", signal.SIGINT)
        timers.append(threading.Timer(AGAIN, os.kill, (os.getpid(), number)))
        timers[-1].daemon = True
        timers[-1].start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = former
        for timer in timers:
            timer.cancel()


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
