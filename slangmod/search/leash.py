"""A process that ends with the one that started it, however that ends.

It is told so by a variable of its environment. Linux sends it SIGTERM when its parent
dies; anywhere, its standard input is a pipe that nobody else holds the other end of,
so that it closes with the parent.
"""

import os
import signal
import sys
import threading
from collections.abc import MutableMapping

LEASH = "SLANGMOD_ENDS_WITH_STDIN"

PR_SET_PDEATHSIG = 1
"""Of prctl(2): which signal a process gets when its parent dies."""


def put_on(environment: MutableMapping[str, str]) -> None:
    """End with the parent from now on, if ``environment`` says so."""
    if environment.pop(LEASH, None) is None:
        return
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    threading.Thread(target=follow, args=(0,), daemon=True).start()


def follow(descriptor: int) -> None:
    """Ask the own process to end once ``descriptor`` is closed at its other end."""
    while os.read(descriptor, 64):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
