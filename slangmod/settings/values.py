"""Reaching into settings by name."""

from collections.abc import Iterator, Mapping
from typing import Any

from slangmod.settings.catalog import Key, catalog
from slangmod.settings.free import FreeTable, thawed
from slangmod.settings.sections import Settings


def value_at(settings: Settings, path: Key) -> Any:
    """The value at ``path``; None where the free table has no such key."""
    value: Any = settings
    for part in path:
        is_table = isinstance(value, Mapping)
        value = value.get(part) if is_table else getattr(value, part, None)
    return value


def values_of(settings: Settings) -> Iterator[tuple[Key, Any]]:
    """All values by path, the free table opened down to its leaves."""
    for known in catalog().values():
        value = value_at(settings, known.path)
        if known.free:
            yield from _leaves(known.path, value)
        else:
            yield known.path, value


def _leaves(path: Key, value: Any) -> Iterator[tuple[Key, Any]]:
    if not isinstance(value, FreeTable) or (not value and len(path) > 1):
        yield path, value
    else:
        for key, inner in value.items():
            yield from _leaves((*path, key), inner)


def plain(settings: Settings) -> dict[str, Any]:
    """Settings as nested dictionaries and lists; what is unset is None."""
    tree: dict[str, Any] = {}
    for path, value in values_of(settings):
        put(tree, path, thawed(value))
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
