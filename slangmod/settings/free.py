"""The free table: any keys, any TOML values, but frozen and comparable."""

from collections.abc import Iterator, Mapping
from datetime import date, time
from typing import Any

SCALARS = (str, int, float, bool, date, time)
"""What TOML knows besides lists and tables (a datetime is a date)."""


class FreeTable(Mapping[str, Any]):
    """An immutable mapping that can be hashed; tables in it are FreeTables too."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Any]) -> None:
        """Freeze ``items``, all the way down.

        Raises ValueError where that is no table, a key is no text, or a value is none
        that TOML knows.
        """
        if not isinstance(items, Mapping):
            raise ValueError("no table")  # noqa: TRY004 (pydantic's way)
        self._items = {_key(key): frozen(item) for key, item in items.items()}

    def __getitem__(self, key: str) -> Any:
        """The value of ``key``."""
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        """The keys, in the order given."""
        return iter(self._items)

    def __len__(self) -> int:
        """The number of keys."""
        return len(self._items)

    def __hash__(self) -> int:
        """Equal tables have equal hashes, whatever the order of their keys."""
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        """The table as a dictionary is written."""
        return repr(self._items)

    def plain(self) -> dict[str, Any]:
        """The table as dictionaries, all the way down."""
        return {key: thawed(item) for key, item in self._items.items()}


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise ValueError(f"the key {key!r} is no text")  # noqa: TRY004 (pydantic's way)
    return key


def frozen(value: Any) -> Any:
    """``value`` with tuples for lists and FreeTables for dictionaries."""
    if isinstance(value, Mapping):
        return FreeTable(value)
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    if isinstance(value, SCALARS):
        return value
    raise ValueError(f"TOML has no {type(value).__name__}")


def thawed(value: Any) -> Any:
    """``value`` with lists for tuples and dictionaries for FreeTables."""
    if isinstance(value, Mapping):
        return {key: thawed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [thawed(item) for item in value]
    return value
