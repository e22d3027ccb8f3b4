"""A bar that counts what goes by, where somebody is looking."""

import sys
from collections.abc import Iterable, Iterator

from slangmod.settings.sections import Settings


def counted[T](
    items: Iterable[T],
    settings: Settings,
    what: str,
    total: int | None = None,
    noun: str = "documents",
) -> Iterator[T]:
    """``items`` unchanged, counted on stderr if that is a terminal."""
    if not (settings.progress and sys.stderr.isatty()):
        yield from items
        return
    from tqdm import tqdm

    bar = tqdm(
        items,
        desc=what,
        total=total,
        unit=f" {noun}",
        mininterval=0.2,
        dynamic_ncols=True,
        leave=False,
        file=sys.stderr,
    )
    with bar:
        yield from bar


def unwatched(settings: Settings) -> Settings:
    """``settings`` for a process beside which another shows how far it is."""
    return settings.model_copy(update={"progress": False})


def spaced(number: int) -> str:
    """A number in groups of three digits: 12 345."""
    return f"{number:,}".replace(",", " ")


def amount(number: int, noun: str, plural: str = "s") -> str:
    """A number and what it counts: 1 document, 12 345 documents."""
    return f"{spaced(number)} {noun}{plural * (number != 1)}"
