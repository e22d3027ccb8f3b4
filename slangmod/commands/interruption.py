"""Signals that end an action at once, wherever it is."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Final, Self

from slangmod.commands.postponing import (
    BrokenOffError,
    Postponing,
    in_words,
    name_of,
)
from slangmod.errors import StoppedError

STOPPING: Final = {
    name: getattr(signal, name)
    for name in ("SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT")
    if hasattr(signal, name)
}

SAVED_CODE: Final = 75
"""EX_TEMPFAIL: stopped with a checkpoint saved, ``resume`` continues."""

PATIENCE: Final = 5.0
"""Seconds that a library which is deep in its work may leave a signal unheeded."""

WATCHES: Final[dict[int, "Watch"]] = {}
"""The watches of this process, by the descriptor to which Python writes signals."""


class Watch:
    """A context that ends the process where what a signal asks for does not come.

    Python hears of signals between two of its own instructions; the thread of a watch
    at once. ``expected`` is told of each that stops a program and gives what has to
    happen within ``patience`` seconds, None if nothing must. Where it does not,
    ``end`` is called, with the signal's number. Only for a program's main thread.
    """

    def __init__(
        self,
        expected: Callable[[int], threading.Event | None],
        end: Callable[[int], object],
        patience: float = PATIENCE,
    ) -> None:
        self._expected, self._end, self._patience = expected, end, patience
        self.all_done = False
        """whether what a signal could stop is over, and only leaving is left"""

    def __enter__(self) -> Self:
        """Begin to watch."""
        reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._former = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        WATCHES[self._writing] = self
        threading.Thread(target=self._watch, args=(reading,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Watch no longer."""
        signal.set_wakeup_fd(self._former)
        del WATCHES[self._writing]
        os.close(self._writing)

    def _watch(self, reading: int) -> None:
        while number := os.read(reading, 1):
            if number[0] not in STOPPING.values():
                continue
            expected = self._expected(number[0])
            if expected is not None and not expected.wait(self._patience):
                self._end(number[0])
        os.close(reading)


def begin_anew() -> None:
    """From now on there is something again that a signal can stop."""
    for watch in WATCHES.values():
        watch.all_done = False


def stopped_late(number: int) -> StoppedError:
    """What to raise for a signal that came when there was nothing left to do."""
    code = 130 if number == signal.SIGINT else SAVED_CODE
    return StoppedError(f"stopped by {name_of(number)} when all was done", code)


def end_with(line: str, code: int, leave: Callable[[int], object] = os._exit) -> None:
    """Say why, and end the process wherever it stands."""
    sys.stderr.write(f"slangmod: error: {line}\n")
    sys.stderr.flush()
    leave(code)


class AtEnd:
    """Handles signals once it is settled with what ``code`` the program will end.

    One ends it at once with that; one that comes before the code is known, when there
    is but to say why, does nothing, nor does one that finds the interpreter ending:
    who is told of a signal there takes what has been done for broken off.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        # What is registered first comes last; then nothing can hang any more.
        atexit.register(self._be_deaf)

    def __call__(self, *_: object) -> None:
        """Handle a signal."""
        if self.code is not None:
            os._exit(self.code)

    def _be_deaf(self) -> None:
        for number in STOPPING.values():
            if signal.getsignal(number) is self:
                signal.signal(number, signal.SIG_IGN)


@contextmanager
def broken_off_by_signals(
    leave: Callable[[int], object] = os._exit,
    patience: float = PATIENCE,
    afterwards: AtEnd | None = None,
) -> Iterator[None]:
    """Let signals end what the block does, so that it tidies up behind itself.

    Ctrl-C raises KeyboardInterrupt, any other BrokenOffError, and a signal that is
    ignored stays so. Python hears of signals between two of its own instructions: where
    a library does not return to it for ``patience`` seconds, the process ends by
    ``leave(128 + number)``. What was being written then is swept away by the next who
    writes there. A signal that comes while a module is imported waits for that. One
    that finds a run at its end is StoppedError. From the end of the block on, they are
    handled ``afterwards``, or as before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heeded, postponing, over = threading.Event(), Postponing(), False

    def heed(number: int, frame: FrameType | None) -> None:
        if over or postponing.postponed(number, frame):
            return
        postponing.withdraw()
        heeded.set()
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise BrokenOffError(number)

    def end(number: int) -> None:
        end_with(in_words(number), 128 + number, leave)

    watch = Watch(lambda _: heeded, end, patience)
    before = {
        number: signal.signal(number, heed)
        for number in STOPPING.values()
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        with watch, postponing:
            yield
    except (KeyboardInterrupt, BrokenOffError) as error:
        if watch.all_done:
            raise stopped_late(getattr(error, "number", signal.SIGINT)) from None
        raise
    finally:
        over = True  # what came now would leave in place of what the block ended with
        heeded.set()
        for number, handler in before.items():
            signal.signal(number, afterwards or handler)


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
