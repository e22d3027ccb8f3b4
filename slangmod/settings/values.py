"""Reaching into settings by name."""

from collections.abc import Iterator, Mapping
from typing import Any

from slangmod.settings.catalog import Key, arrays, catalog, free_tables
from slangmod.settings.free import FreeTable, thawed
from slangmod.settings.places import Tables, place_of
from slangmod.settings.sections import Section, Settings, Stage


def value_at(settings: Settings, path: Key) -> Any:
    """The value at ``path``; None where there is none.

    That of an array of tables is how many it has.
    """
    if path in arrays():
        return Tables(len(_at(settings, path)))
    place = place_of(path)
    if not place.table:
        return _at(settings, path)
    *array, number = place.table
    tables = _at(settings, tuple(array))
    if not (number.isdecimal() and 1 <= int(number) <= len(tables)):
        return None
    table = tables[int(number) - 1]
    if place.section is Settings:
        return dict(table.changes).get(".".join(place.rest))
    return _at(table, place.rest)


def _at(section: Section, path: Key) -> Any:
    value: Any = section
    for part in path:
        is_table = isinstance(value, Mapping)
        value = value.get(part) if is_table else getattr(value, part, None)
    return value


def values_of(settings: Settings) -> Iterator[tuple[Key, Any]]:
    """All values by path, free tables and arrays opened down to their leaves."""
    for known in catalog().values():
        value = value_at(settings, known.path)
        if known.free:
            yield from _leaves(known.path, value)
        else:
            yield known.path, value
    for array in arrays():
        for number, table in enumerate(_at(settings, array), start=1):
            for path, value in _set_in(table):
                yield (*array, str(number), *path), value


def _leaves(path: Key, value: Any) -> Iterator[tuple[Key, Any]]:
    is_inner = not value and path not in free_tables()
    if not isinstance(value, FreeTable) or is_inner:
        yield path, value
    else:
        for key, inner in value.items():
            yield from _leaves((*path, key), inner)


def _set_in(table: Section) -> Iterator[tuple[Key, Any]]:
    """What a table of an array says: all that is not unset, and what it changes."""
    for known in catalog(type(table)).values():
        value = _at(table, known.path)
        if value is not None:
            yield known.path, value
    if isinstance(table, Stage):
        for name, value in table.changes:
            yield tuple(name.split(".")), value


def table_of(section: Section) -> dict[str, Any]:
    """What ``section`` says, as nested dictionaries."""
    tree: dict[str, Any] = {}
    for path, value in _set_in(section):
        put(tree, path, value)
    return tree


def counts_of(settings: Settings) -> Iterator[tuple[Key, Tables]]:
    """How many tables there are in each array that has any."""
    for array in arrays():
        if count := value_at(settings, array).count:
            yield array, Tables(count)


def plain(settings: Settings) -> dict[str, Any]:
    """Settings as nested dictionaries and lists; what is unset is None."""
    tree: dict[str, Any] = {}
    for path, value in values_of(settings):
        put(tree, path, thawed(value))
    for array in arrays():
        tables = [thawed(table_of(table)) for table in _at(settings, array)]
        put(tree, array, tables)
    return tree


def put(tree: dict[str, Any], path: Key, value: Any) -> None:
    """Set ``value`` at ``path`` in nested dictionaries, making tables on the way."""
    for part in path[:-1]:
        inner = tree.get(part)
        if not isinstance(inner, dict):
            inner = tree[part] = {}
        tree = inner
    tree[path[-1]] = value


def is_at(tree: dict[str, Any], path: Key, value: Any) -> bool:
    """Whether it is ``value`` itself that stands at ``path``."""
    found: Any = tree
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found is value
