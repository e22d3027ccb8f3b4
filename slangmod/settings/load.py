"""Settings from all their sources, weakest first: defaults, preset, base files, file,
environment, flags. Every problem in any of them is found before the first is told.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slangmod.errors import SettingsError
from slangmod.settings import entries as sources
from slangmod.settings.catalog import Key
from slangmod.settings.check import abridged, checked, tree_of
from slangmod.settings.entries import FREE, Entry
from slangmod.settings.layers import BASE, Layers, stack
from slangmod.settings.literals import brief
from slangmod.settings.resolved import Resolved
from slangmod.settings.rules import Clash, clashes
from slangmod.settings.sections import Settings
from slangmod.settings.values import value_at, values_of

History = dict[Key, tuple[Entry, ...]]

ON_LOADING = ("size", "base")
"""Settings that say where others come from: they act when settings are loaded."""


def load_settings(
    file: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Settings from a TOML file, if any, and ``overrides`` by dotted name.

    Overrides may be text as on the command line: ``{"train.learning_rate": "3e-4"}``.
    Neither the environment nor a file of the current folder is read. Raises
    SettingsError with every problem there is.
    """
    strongest = sources.of_python(overrides or {})
    return _resolved(stack(file, [strongest])).settings


def resolve(
    file: str | Path | None = None,
    flags: Sequence[tuple[str, str]] = (),
    environment: Mapping[str, str] | None = None,
) -> Resolved:
    """Settings with their origins, from a file, flags, and variables with ``SLM_``.

    A flag is a name without dashes and the text of its value; the last of a name wins.
    Raises SettingsError with every problem there is.
    """
    variables = sources.of_environment(environment or {})
    return _resolved(stack(file, [variables, sources.of_flags(flags)]))


def replaced(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """``settings`` with ``changes`` by dotted name, all rules checked anew.

    A change of ``extra`` replaces that table. Raises SettingsError.
    """
    problems = [
        f"{name} = {brief(changes[name])}: acts when settings are loaded; use "
        f'load_settings(file, {{"{name}": ...}})'
        for name in ON_LOADING
        if name in changes and changes[name] != getattr(settings, name)
    ]
    if problems:
        raise SettingsError(*problems)
    kept = [
        Entry(path, value, "")
        for path, value in values_of(settings)
        if not (path[0] == FREE and FREE in changes)
    ]
    return _resolved(Layers([kept, sources.of_python(changes)])).settings


def _resolved(layers: Layers) -> Resolved:
    """The layers put on top of each other, or SettingsError with all problems."""
    problems = list(layers.problems)
    sound: list[list[Entry]] = []
    bad: set[Key] = set()
    for entries in layers.entries:
        good, found = checked(entries)
        problems += found
        sound.append(good)
        bad |= {one.path for one in entries} - {one.path for one in good}
    resolved = _merged(sound)
    # Where a file is missing or a value is wrong, a clash may be no clash.
    if not layers.problems:
        rank = {one.path: nr for nr, entries in enumerate(sound) for one in entries}
        for clash in clashes(resolved.settings):
            if bad.isdisjoint(map(_key, clash.keys)):
                problems.append(_told(clash, resolved, rank))
    if problems:
        raise SettingsError(*abridged(problems))
    return resolved


def _merged(layers: Sequence[list[Entry]]) -> Resolved:
    """Sound layers, weakest first, as settings with a history."""
    history: History = {}
    for entries in layers:
        history = _make_room(history, {e.path for e in entries if e.path[0] == FREE})
        for entry in entries:
            history[entry.path] = (entry, *history.get(entry.path, ()))
    strongest = [found[0] for path, found in history.items() if path != BASE]
    return Resolved(Settings.model_validate(tree_of(strongest)), history)


def _make_room(history: History, free: set[Key]) -> History:
    """``history`` without values of the free table that ``free`` makes impossible.

    A value replaces a table of its name, and a table a value.
    """
    tables = {path[:end] for path in free for end in range(2, len(path))}
    return {
        path: entries
        for path, entries in history.items()
        if path not in tables
        and free.isdisjoint(path[:end] for end in range(2, len(path)))
    }


def _key(name: str) -> Key:
    return tuple(name.split("."))


def _told(clash: Clash, resolved: Resolved, rank: Mapping[Key, int]) -> str:
    """The clash at the place that had the last word in it, and the other values."""
    keys = [_key(name) for name in clash.keys]
    first = max(keys, key=lambda key: rank.get(key, -1))
    setter = resolved.setter(first)
    assert setter is not None  # the defaults do not clash
    others = [
        f"{'.'.join(key)} = {brief(value_at(resolved.settings, key))} "
        f"({resolved.origin(key)})"
        for key in keys
        if key != first
    ]
    return "; ".join([f"{setter.subject()}: {clash.reason}", *others])
