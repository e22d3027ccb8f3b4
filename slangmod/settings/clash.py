"""Settings that cannot stand together, and what finds them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from slangmod.settings.sections import Settings


@dataclass(frozen=True)
class Clash:
    """Settings that cannot stand together: their dotted names, and why not."""

    keys: tuple[str, ...]
    reason: str


Rule = Callable[[Settings], Iterator[Clash]]
"""Finds clashes in settings, if there are any."""
