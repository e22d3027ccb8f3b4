"""What somebody has set, one entry per value, with the place where it was set.

Files, the environment, flags and Python all end up as entries; from here on nobody
asks where a value came from except to say so.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import tomli

from slangmod.settings.catalog import Key, arrays, free_tables
from slangmod.settings.literals import NONE, brief, dotted, printable, short
from slangmod.settings.places import (
    Tables,
    free_table,
    is_tables,
    known_at,
    opens,
)
from slangmod.settings.sections import Section
from slangmod.settings.values import put, table_of

PREFIX = "SLM_"
"""Variables of the environment that begin with this are settings."""

COMPUTED = "="
"""What a value that is an expression over settings begins with."""


@dataclass(frozen=True)
class Entry:
    """One value that was set.

    ``place`` is ``config.toml:7``, a flag, a variable, or empty for Python. ``named``
    says that the place names the setting already, as flags and variables do.
    ``expression`` is what a value was computed from, where it was.
    """

    path: Key
    value: Any
    place: str
    named: bool = False
    expression: str = ""

    @property
    def name(self) -> str:
        """The dotted name."""
        return dotted(self.path)

    @property
    def is_computed(self) -> bool:
        """Whether the value is an expression; text settings take it as typed."""
        is_text = isinstance(self.value, str) and self.value.startswith(COMPUTED)
        known = known_at(self.path) if is_text else None
        return known is not None and not known.holds_text

    def at(self, path: Key) -> "Entry":
        """The same entry for another name."""
        return replace(self, path=path)

    def subject(self) -> str:
        """What an error begins with: ``config.toml:7: train.patience = 1``."""
        value = brief(self.value)
        if self.expression:
            value = f"{brief(self.expression)}, which is {value}"
        if self.named:
            return f"{self.place} = {value}"
        where = f"{self.place}: " if self.place else ""
        return f"{where}{short(self.name)} = {value}"

    def origin(self) -> str:
        """Where it was set, in words."""
        computed = f' "{printable(self.expression)}"' if self.expression else ""
        return (self.place or "Python") + computed


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
    if isinstance(value, Section):
        value = table_of(value)
    if path in arrays() and is_tables(value):
        yield path, Tables(len(value))
        value = {str(number): table for number, table in enumerate(value, start=1)}
    if isinstance(value, Mapping) and opens(path):
        if not value and free_table(path) and path not in free_tables():
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
        place = _path(str(name))
        for path, value in _leaves(place, _undotted(place, given)):
            known = known_at(path)
            exact = known is None or known.holds_text or known.free
            is_toml = isinstance(value, str) and not exact
            plain = os.fspath(value) if isinstance(value, os.PathLike) else value
            entries.append(Entry(path, _read(path, value) if is_toml else plain, ""))
    return entries


def _undotted(path: Key, value: Any) -> Any:
    """``value`` whose tables, if it is a list of them, have no dots in their names."""
    if path not in arrays() or not is_tables(value):
        return value
    tables: list[Any] = []
    for table in value:
        tree: dict[str, Any] = {}
        named = table_of(table) if isinstance(table, Section) else table
        for name, item in named.items():
            put(tree, tuple(str(name).split(".")), item)
        tables.append(tree)
    return tables


def _path(name: str) -> Key:
    """The path that a flag names; ``-`` is as good as ``_`` outside the free table."""
    first, *others = name.split(".")
    path = tuple(part.replace("-", "_") for part in (first, *others))
    free = free_table(path)
    return (*free, *[first, *others][len(free) :]) if free else path


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
