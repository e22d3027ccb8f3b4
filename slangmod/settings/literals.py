"""Values and keys as TOML spells them, and text that is safe to show."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

NONE = "none"
"""The word that unsets a setting (TOML has no null)."""

BARE = re.compile(r"[A-Za-z0-9_-]+")
ESCAPES = {
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
}
LONGEST = 60
"""Characters of a value that an error quotes."""

MOST_SHOWN = 6
"""Items of a longer list of derived values that are shown."""


def literal(value: Any) -> str:
    """``value`` in TOML, on one line; None becomes the word that unsets."""
    if value is None:
        return quoted(NONE)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        items = (f"{key(name)} = {literal(item)}" for name, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(literal, value)) + "]"
    return printable(repr(value))


def quoted(text: str) -> str:
    """``text`` as a basic string of TOML, without a raw control character."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\u{number:04X}" if number < 0x10000 else f"\\U{number:08X}"


def printable(text: str) -> str:
    """``text`` on one line, characters that a terminal might obey escaped."""
    return "".join(one if one.isprintable() else _escaped(one).lower() for one in text)


def key(name: str) -> str:
    """One part of a key, quoted where TOML wants it quoted."""
    return name if BARE.fullmatch(name) else quoted(name)


def dotted(path: Sequence[str]) -> str:
    """The parts of a key as TOML joins them: ``train.learning_rate``."""
    return ".".join(map(key, path))


def brief(value: Any) -> str:
    """``value`` in TOML, shortened to what an error can quote."""
    if isinstance(value, str) and len(value) > LONGEST:
        value = value[:LONGEST] + "..."
    if isinstance(value, int) and not isinstance(value, bool):
        return literal(value) if abs(value) < 10**LONGEST else "a huge number"
    try:
        text = literal(value)
    except RecursionError:
        return "a table that holds itself"
    return text if len(text) <= 2 * LONGEST else text[: 2 * LONGEST] + "..."


def short(name: str) -> str:
    """A name that somebody mistyped, shortened to what an error can quote."""
    text = printable(name)
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


def abbreviated(value: Any) -> str:
    """A derived value as TOML; of a long list how it begins and ends.

    >>> abbreviated(tuple(range(100)))
    '[0, 1, 2, ..., 97, 98, 99] (100 values)'
    """
    if not isinstance(value, tuple) or len(value) <= MOST_SHOWN:
        return literal(value)
    half = MOST_SHOWN // 2
    ends = [*map(literal, value[:half]), "...", *map(literal, value[-half:])]
    return f"[{', '.join(ends)}] ({len(value)} values)"
