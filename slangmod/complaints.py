"""Trouble that lasts, told once a minute however many meet with it."""

import logging
import time
from collections.abc import Callable
from typing import Final

LOG = logging.getLogger(__name__)

BETWEEN: Final = 60.0
"""Seconds from one warning to the next."""

NAMED: Final = 5
"""How many a warning names of those that were held back; the others it counts."""


class Complaints:
    """Warnings of one run about its disk: one a minute of all that want to warn.

    What is held back meanwhile is named in the next one, or counted. ``clock`` gives
    seconds and is read only when something went wrong.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._after = float("-inf")
        self._held: dict[str, None] = {}  # a set that remembers the order
        self._lost: list[str] = []

    def lose(self, place: str, what: str) -> None:
        """Remember that ``what`` of ``place`` never came to be written."""
        self._lost.append(f"{place}: {what}")

    def tell_lost(self) -> None:
        """Warn of all that was lost, at once: nothing comes after it."""
        if self._lost:
            LOG.warning("lost: %s", "; ".join(self._lost))
            self._lost.clear()

    def __call__(self, place: str, message: str) -> None:
        """Warn of ``message``, which is about ``place``, or remember the place."""
        now = self._clock()
        if now < self._after:
            self._held[place] = None
            return
        self._after = now + BETWEEN
        self._held.pop(place, None)
        others = ", ".join([*self._held][:NAMED])
        if len(self._held) > NAMED:
            others += f" and {len(self._held) - NAMED} others"
        self._held.clear()  # before the warning, which may itself be refused
        LOG.warning("%s", f"{message} (the same for {others})" if others else message)
