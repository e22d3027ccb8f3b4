"""Values that are not yet chosen: ``choice(32, 64)`` instead of a number."""

import re
from dataclasses import replace
from typing import Any, Final

from slangmod.settings.catalog import Key
from slangmod.settings.entries import Entry
from slangmod.settings.places import known_at

SPACE: Final[Key] = ("sweep", "space")
"""Where what is tried for each setting is gathered."""

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
