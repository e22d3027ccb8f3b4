"""Sources put on top of each other, and settings made of what is then on top."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from slangmod.settings.catalog import Key, arrays
from slangmod.settings.entries import Entry
from slangmod.settings.layers import BASE
from slangmod.settings.literals import brief, short
from slangmod.settings.places import Tables, free_table, place_of
from slangmod.settings.sections import Settings
from slangmod.settings.suggest import alternatives, among
from slangmod.settings.totals import TOTALS, totalled
from slangmod.settings.values import put

STAGE: Key = ("stage",)

History = dict[Key, tuple[Entry, ...]]
"""For each value that was set who set it, the strongest first."""


def numbered(layers: Sequence[list[Entry]], problems: list[str]) -> list[list[Entry]]:
    """``layers`` with stages called by number that somebody called by name."""
    names = _names_of_stages(layers)
    return [
        [one for entry in entries if (one := _renumbered(entry, names, problems))]
        for entries in layers
    ]


def _names_of_stages(layers: Sequence[list[Entry]]) -> dict[str, str]:
    """Number by name, as the strongest source says that has the stages."""
    for entries in reversed(layers):
        if any(entry.path == STAGE for entry in entries):
            named = (e for e in entries if e.path[:1] == STAGE and len(e.path) == 3)
            return {str(e.value): e.path[1] for e in named if e.path[2] == "name"}
    return {}


def _renumbered(
    entry: Entry, names: Mapping[str, str], problems: list[str]
) -> Entry | None:
    path = entry.path
    if path[:1] != STAGE or len(path) == 1 or path[1].isdecimal():
        return entry
    if path[1] in names:
        return entry.at((*STAGE, names[path[1]], *path[2:]))
    near = alternatives(among(path[1], names))
    known = f"the stages are {', '.join(names)}" if names else "stages have numbers"
    hint = f"did you mean {near}?" if near else known
    problems.append(
        f"{entry.subject()}: there is no stage called '{short(path[1])}'; {hint}"
    )
    return None


def merged(layers: Sequence[list[Entry]], problems: list[str]) -> History:
    """Sound layers, weakest first, put on top of each other.

    An array of tables replaces the array that a weaker layer has; what names a single
    table of it is put on top of that.
    """
    history: History = {}
    for entries in layers:
        history = _make_room(history, {e.path for e in entries if free_table(e.path)})
        for array in [e.path for e in entries if isinstance(e.value, Tables)]:
            end = len(array)
            history = {
                path: found
                for path, found in history.items()
                if path[:end] != array or len(path) == end
            }
        for entry in entries:
            if problem := _beyond(entry, entries, history):
                problems.append(problem)
            else:
                history[entry.path] = (entry, *history.get(entry.path, ()))
    return history


def _beyond(entry: Entry, beside: Iterable[Entry], history: History) -> str:
    """What is wrong with an entry for a table that its array does not have."""
    table = place_of(entry.path).table
    if not table:
        return ""
    *above, number = table
    array = tuple(above)
    here = [one.value for one in beside if one.path == array]
    there = [one.value for one in history.get(array, ())]
    count = next((one.count for one in [*here, *there]), 0)
    if number.isdecimal() and 1 <= int(number) <= count:
        return ""
    name = ".".join(array)
    some = f"there are {count}, counted from 1" if count else "there are none"
    return f"{entry.subject()}: no such table; of [[{name}]] {some}"


def _make_room(history: History, free: set[Key]) -> History:
    """``history`` without values in free tables that ``free`` makes impossible.

    A value replaces a table of its name, and a table a value.
    """
    tables = {
        path[:end]
        for path in free
        for end in range(len(free_table(path) or ()) + 1, len(path))
    }
    return {
        path: entries
        for path, entries in history.items()
        if path not in tables
        and free.isdisjoint(path[:end] for end in range(2, len(path)))
    }


def settings_from(history: Mapping[Key, Sequence[Entry]]) -> Settings:
    """The settings that the strongest entries make; the others are default."""
    tree: dict[str, Any] = {}
    for path, (entry, *_) in history.items():
        if path != BASE and path not in arrays() and not place_of(path).table:
            put(tree, path, entry.value)
    for array in arrays():
        if array in history:
            count = history[array][0].value.count
            put(tree, array, tuple(_table(history, array, n + 1) for n in range(count)))
    return totalled(Settings.model_validate(tree))


def _table(
    history: Mapping[Key, Sequence[Entry]], array: Key, number: int
) -> dict[str, Any]:
    """The table ``number`` of ``array``."""
    table = (*array, str(number))
    tree: dict[str, Any] = {}
    changes = []
    for path, (entry, *_) in history.items():
        if path[: len(table)] == table:
            place = place_of(path)
            if place.section is Settings:
                changes.append((".".join(place.rest), entry.value))
            else:
                put(tree, place.rest, entry.value)
    if changes:
        tree["changes"] = tuple(sorted(changes))
    return tree


def contradicted(
    history: History, settings: Settings, rank: Mapping[Key, int]
) -> list[str]:
    """What is wrong with totals that were set beside the tables that make them."""
    problems = []
    for name, array in TOTALS.items():
        path = tuple(name.split("."))
        if array not in history or not history[array][0].value.count:
            continue
        section, last = path
        total = getattr(getattr(settings, section), last)
        entry = history.get(path, (None,))[0]
        if entry and rank[path] >= rank[array] and entry.value != total:
            problems.append(
                f"{entry.subject()}: the tables of [[{'.'.join(array)}]] add up to "
                f"{brief(total)}; leave it out, or change those"
            )
    return problems
