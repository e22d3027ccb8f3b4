"""What somebody has set, one entry per value, with the place where it was set.

Files, the environment, flags and Python all end up as entries; from here on nobody
asks where a value came from except to say so.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import tomli

from slangmod.settings.catalog import Key, Known, catalog, tables
from slangmod.settings.literals import NONE, brief, dotted, printable, short
from slangmod.settings.scan import DEEPEST

PREFIX = "SLM_"
"""Variables of the environment that begin with this are settings."""

FREE = "extra"
"""The table below which any name may stand."""


@dataclass(frozen=True)
class Entry:
    """One value that was set.

    ``place`` is ``config.toml:7``, a flag, a variable, or empty for Python. ``named``
    says that the place names the setting already, as flags and variables do.
    """

    path: Key
    value: Any
    place: str
    named: bool = False

    @property
    def name(self) -> str:
        """The dotted name."""
        return dotted(self.path)

    def subject(self) -> str:
        """What an error begins with: ``config.toml:7: train.patience = 1``."""
        if self.named:
            return f"{self.place} = {brief(self.value)}"
        where = f"{self.place}: " if self.place else ""
        return f"{where}{short(self.name)} = {brief(self.value)}"

    def origin(self) -> str:
        """Where it was set, in words."""
        return self.place or "Python"


def known_at(path: Key) -> Known | None:
    """The setting at ``path``; for all that stands in the free table, that table."""
    known = catalog().get(FREE if path[0] == FREE else ".".join(path))
    return known if known and path[: len(known.path)] == known.path else None


def of_table(
    table: Mapping[str, Any], lines: Mapping[Key, int], place: str
) -> list[Entry]:
    """The entries of a TOML file, ``lines`` saying where each key is set."""
    return [
        Entry(path, value, f"{place}:{lines[path]}" if path in lines else place)
        for path, value in _leaves((), table)
    ]


def _leaves(path: Key, value: Any) -> Iterator[tuple[Key, Any]]:
    """The values in ``value``, tables opened where there may be settings in them."""
    is_free = path[:1] == (FREE,) and len(path) <= DEEPEST
    if isinstance(value, Mapping) and (path in tables() or is_free):
        if not value and len(path) > 1 and is_free:
            yield path, value
        for name, item in value.items():
            yield from _leaves((*path, str(name)), item)
    else:
        yield path, value


def of_flags(flags: Iterable[tuple[str, str]]) -> list[Entry]:
    """The entries of flags, each a name and the text of its value; the last wins."""
    last = {_path(name): (name, text) for name, text in flags}
    return [
        Entry(leaf, value, f"--{printable(name)}", named=True)
        for path, (name, text) in last.items()
        for leaf, value in _leaves(path, _read(path, text))
    ]


def of_environment(environment: Mapping[str, str]) -> list[Entry]:
    """The entries of all variables that begin with ``SLM_``, sorted by name."""
    return [
        Entry(leaf, value, printable(variable), named=True)
        for variable in sorted(environment)
        if variable.startswith(PREFIX)
        for path in [tuple(variable.removeprefix(PREFIX).lower().split("__"))]
        for leaf, value in _leaves(path, _read(path, environment[variable]))
    ]


def of_python(values: Mapping[str, Any]) -> list[Entry]:
    """The entries of a mapping from dotted names, or tables, to values.

    Paths become text; text for a setting that holds none is read as TOML, so that
    "3e-4" is a number.
    """
    entries = []
    for name, given in values.items():
        for path, value in _leaves(_path(str(name)), given):
            known = known_at(path)
            exact = known is None or known.holds_text or known.free
            is_toml = isinstance(value, str) and not exact
            plain = os.fspath(value) if isinstance(value, os.PathLike) else value
            entries.append(Entry(path, _read(path, value) if is_toml else plain, ""))
    return entries


def _path(name: str) -> Key:
    """The path that a flag names; ``-`` is as good as ``_`` outside the free table."""
    first, *others = name.split(".")
    if first == FREE:
        return (first, *others)
    return tuple(part.replace("-", "_") for part in (first, *others))


def _read(path: Key, text: str) -> Any:
    """The value that ``text`` spells for the setting at ``path``.

    Text settings take words as typed, quotes being optional. Everything else is TOML;
    what is no TOML stays text, for the check to refuse or the free table to hold.
    """
    known = known_at(path)
    if text == NONE or known is None:
        return text
    value = toml_value(text)
    if known.holds_text:
        return value if isinstance(value, str) and text[0] == text[-1] else text
    return text if value is None else value


def toml_value(text: str) -> Any:
    """The value that ``text`` is in TOML; None where it is none."""
    try:
        table = tomli.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return None
    return table["value"] if len(table) == 1 else None
