"""Signals that come at a bad moment come once more, a little later.

While Python imports a module, an exception out of the blue does lasting harm: libraries
that are initialised half cannot be imported once more, those written in C++ take the
exception for one of their own and go on without what they were after, or abort. And
wherever Python just calls something of its own accord, it drops what that raises.
"""

import math
import os
import signal
import sys
import threading
import time
from queue import SimpleQueue
from types import FrameType, TracebackType
from typing import Final, Self

AGAIN: Final = 0.05
"""Seconds after which a signal comes again."""


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


class Postponing:
    """Sends signals to this process once more, in a block; none of them after it.

    ``patience``: seconds for which they wait at most for what is imported.
    """

    def __init__(self, patience: float = math.inf) -> None:
        self._patience = patience
        self._imports = 0
        self._since = 0.0
        self._due = set[int]()
        self._wake = SimpleQueue[int]()  # may be written to by a handler of signals
        self._over = threading.Event()
        self._sender = threading.Thread(target=self._send, daemon=True)
        self.dropped = False
        """whether Python has dropped what was raised for a signal"""

    def __enter__(self) -> Self:
        """Begin; what is being imported already will not be waited for."""
        self._imports = imports_in(sys._getframe())
        self._hook, sys.unraisablehook = sys.unraisablehook, self._heed_dropped
        self._sender.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; what is due does not come."""
        sys.unraisablehook = self._hook
        self.withdraw()
        self._over.set()
        self._wake.put(0)
        self._sender.join()

    def postponed(self, number: int, frame: FrameType | None) -> bool:
        """Whether a signal that came in ``frame`` will come again, as it imports."""
        if imports_in(frame) <= self._imports:
            return False
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > self._patience:
            return False
        self.come_again(number)
        return True

    def come_again(self, number: int) -> None:
        """Have a signal come in a while, unless it is withdrawn."""
        if number not in self._due:
            self._due.add(number)
            self._wake.put(number)

    def withdraw(self) -> None:
        """Let nothing come again: what it came for is being done."""
        self._due.clear()
        self._since = 0.0

    def _send(self) -> None:
        while (number := self._wake.get()) and not self._over.wait(AGAIN):
            if number in self._due:
                self._due.discard(number)
                os.kill(os.getpid(), number)

    def _heed_dropped(self, found: "sys.UnraisableHookArgs") -> None:
        error = found.exc_value
        if isinstance(error, BrokenOffError | KeyboardInterrupt):
            self.dropped = True
            self.come_again(getattr(error, "number", signal.SIGINT))
        else:
            self._hook(found)


def imports_in(frame: FrameType | None) -> int:
    """How many modules are being imported where ``frame`` is, one for the other."""
    count = 0
    while frame is not None:
        code = frame.f_code
        if code.co_name == "_find_and_load" and "importlib" in code.co_filename:
            count += 1
        frame = frame.f_back
    return count
