"""Values that are not yet chosen: ``choice(32, 64)`` instead of a number."""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from slangmod.settings.catalog import Key
from slangmod.settings.entries import Entry
from slangmod.settings.places import known_at

SPACE: Final[Key] = ("sweep", "space")
"""Where what is tried for each setting is gathered."""

StandIn = Callable[[str], Any]
"""A value to be going on with for a text that says what to try; None for no sound one.
"""

_SOUGHT = re.compile(r"\s*(choice|interval|range|int|tag)\s*\(.*\)\s*", re.DOTALL)


def is_sought(value: Any) -> bool:
    """Whether ``value`` says what to try rather than what to take.

    >>> is_sought("interval(1e-4, 1e-2)"), is_sought("adamw"), is_sought(3)
    (True, False, False)
    """
    return isinstance(value, str) and _SOUGHT.fullmatch(value) is not None


def sought(entry: Entry) -> Entry:
    """The entry, as one of ``sweep.space`` where it says what to try for a setting.

    Its place tells where it stands, or names the setting, as before.
    """
    is_setting = entry.path[: len(SPACE)] != SPACE and known_at(entry.path) is not None
    if not (is_setting and is_sought(entry.value)):
        return entry
    return replace(entry, path=(*SPACE, ".".join(entry.path)))


def stand_ins(layers: Iterable[Iterable[Entry]], stand_in: StandIn) -> list[Entry]:
    """A value for each setting that ``sweep.space`` in ``layers`` names.

    So that what depends on the setting can be worked out before it is chosen.
    """
    found: dict[Key, Entry] = {}
    for entries in layers:
        for entry in entries:
            if entry.path[: len(SPACE)] == SPACE and isinstance(entry.value, str):
                path = name_in(entry.path)
                value = stand_in(entry.value)
                if known_at(path) is not None and value is not None:
                    found[path] = replace(entry, path=path, value=value)
    return list(found.values())


def name_in(path: Key) -> Key:
    """The setting that a path in ``sweep.space`` names, dots in keys or not.

    >>> name_in(("sweep", "space", "train.learning_rate"))
    ('train', 'learning_rate')
    """
    return tuple(".".join(path[len(SPACE) :]).split("."))
