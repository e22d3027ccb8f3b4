"""Where a name leads: into the settings, or into one table of an array of tables.

``stage.2.train.learning_rate`` is a setting of the second ``[[stage]]``; tables are
counted from 1. In a stage stand settings of its own and, as changes, those of the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slangmod.settings.catalog import Key, Known, arrays, catalog, free_tables, tables
from slangmod.settings.scan import DEEPEST
from slangmod.settings.sections import Section, Settings, Stage


@dataclass(frozen=True)
class Tables:
    """The value of an array of tables: how many it has; what is in them is apart."""

    count: int

    def __repr__(self) -> str:
        """How an error quotes it."""
        return f"{self.count} table{'s' * (self.count != 1)}"


@dataclass(frozen=True)
class Place:
    """``section`` describes what stands at ``rest`` below ``table``.

    ``table`` is ``()`` outside of arrays.
    """

    table: Key
    section: type[Section]
    rest: Key


def place_of(path: Key) -> Place:
    """What ``path`` leads to; the table of an array may be called by any word."""
    for array, section in arrays().items():
        end = len(array)
        if path[:end] == array and len(path) > end:
            table, rest = path[: end + 1], path[end + 1 :]
            is_change = section is Stage and rest[:1] and rest[0] not in OWN_OF_STAGE
            return Place(table, Settings if is_change else section, rest)
    return Place((), Settings, path)


OWN_OF_STAGE = frozenset(Stage.model_fields)


def known_at(path: Key) -> Known | None:
    """The setting at ``path``; for all that stands in a free table, that table."""
    place = place_of(path)
    free = free_table(place.rest) if place.section is Settings else None
    known = catalog(place.section).get(".".join(free or place.rest))
    return known if known and place.rest[: len(known.path)] == known.path else None


def free_table(path: Key) -> Key | None:
    """The free table that ``path`` is, or leads into; None for anything else."""
    return next((free for free in free_tables() if path[: len(free)] == free), None)


def opens(path: Key) -> bool:
    """Whether a table at ``path`` is one that settings may stand in."""
    if path in arrays():
        return True
    place = place_of(path)
    if place.section is Settings and free_table(place.rest):
        return len(path) <= DEEPEST
    return place.rest in tables(place.section)


def is_tables(value: Any) -> bool:
    """Whether ``value`` is a list of tables, or an empty list."""
    is_list = isinstance(value, list | tuple)
    return is_list and all(isinstance(one, Mapping | Section) for one in value)
