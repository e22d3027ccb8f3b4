"""Signals that come at a bad moment come once more, a little later.

While Python imports a module, an exception out of the blue does lasting harm: libraries
that are initialised half cannot be imported once more, those written in C++ take the
exception for one of their own and go on without what they were after, or abort. So a
signal that comes then is sent again until it finds no import under way.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Final

AGAIN: Final = 0.05
"""Seconds after which a signal comes again."""

_DUE: Final[SimpleQueue[int]] = SimpleQueue()


def postponed(number: int, frame: FrameType | None) -> bool:
    """Whether a signal that came in ``frame`` will come again, because it imports."""
    while frame is not None:
        code = frame.f_code
        if code.co_name == "_find_and_load" and "importlib" in code.co_filename:
            come_again(number)
            return True
        frame = frame.f_back
    return False


def come_again(number: int) -> None:
    """Send this process a signal in a while, if ``signals_come_again``.

    May be called wherever Python is, by a handler of signals too.
    """
    _DUE.put(number)


@contextmanager
def signals_come_again() -> Iterator[None]:
    """Let signals come again in the block, and none of them after it."""
    with suppress(Empty):
        while True:
            _DUE.get_nowait()
    over = threading.Event()

    def send() -> None:
        while (number := _DUE.get()) and not over.wait(AGAIN):
            os.kill(os.getpid(), number)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        yield
    finally:
        over.set()
        _DUE.put(0)
        sender.join()
