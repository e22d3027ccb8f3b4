"""Settings from all their sources, weakest first: defaults, preset, base files, file,
environment, flags. Every problem in any of them is found before the first is told.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from slangmod.errors import SettingsError
from slangmod.settings import entries as sources
from slangmod.settings.automatic import without_auto
from slangmod.settings.catalog import Key, free_tables
from slangmod.settings.check import abridged, amiss, checked
from slangmod.settings.computing import computed
from slangmod.settings.course import AtHand, nothing_at_hand
from slangmod.settings.entries import Entry
from slangmod.settings.layers import Layers, stack
from slangmod.settings.literals import brief
from slangmod.settings.merging import contradicted, numbered, settings_from
from slangmod.settings.places import place_of
from slangmod.settings.resolved import Resolved
from slangmod.settings.rules import clashes
from slangmod.settings.sections import Settings
from slangmod.settings.seeking import StandIn, sought, stand_ins
from slangmod.settings.totals import totals_of
from slangmod.settings.values import counts_of, value_at, values_of

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
    *,
    start: Sequence[Entry] = (),
    at_hand: AtHand = nothing_at_hand,
    searching: StandIn | None = None,
    partial: bool = False,
    piped: bool = False,
) -> Resolved:
    """Settings with their origins, from a file, flags, and variables with ``SLM_``.

    A flag is a name without dashes and the text of its value; the last of a name wins.
    ``start`` stands above ``file`` and below all else. ``at_hand`` tells expressions of
    the data. ``searching``: a value such as "choice(32, 64)" is one of ``sweep.space``,
    and the setting has the value that this makes of it; whether that goes together with
    others is left open, and so it is of what is not given if that is ``partial``: then
    it is a run's, not default. ``piped``: ``file`` may be a pipe. Raises SettingsError
    with every problem there is.
    """
    variables = sources.of_environment(environment or {})
    stronger = [list(start), variables, sources.of_flags(flags)]
    layers = stack(file, stronger, piped=piped)
    if searching is None:
        return _resolved(layers, at_hand, partial=partial)
    layers.entries = [list(map(sought, entries)) for entries in layers.entries]
    going_on_with = stand_ins(layers.entries, searching)
    layers.entries.append([entry for entry in going_on_with if not amiss(entry)])
    undecided = {entry.path for entry in layers.entries[-1]}
    return _resolved(layers, at_hand, undecided)


def tried(
    resolved: Resolved,
    values: Mapping[str, Any],
    place: str,
    at_hand: AtHand = nothing_at_hand,
) -> Resolved:
    """``resolved`` with ``values`` by dotted name on top, expressions computed anew.

    ``place`` is where the values came from. Raises SettingsError.
    """
    weaker: list[Entry] = []
    plain: list[Entry] = []
    expressions: list[Entry] = []
    for entry, *others in resolved.history.values():
        if entry.expression:
            expressions.append(replace(entry, value=entry.expression, expression=""))
            weaker += others[:1] if not place_of(entry.path).table else []
        else:
            plain.append(entry)
    new = [replace(entry, place=place) for entry in sources.of_python(values)]
    return _resolved(Layers([weaker, plain, expressions, new]), at_hand)


def _set(key: Key, resolved: Resolved) -> str:
    return f"{'.'.join(key)} = {brief(value_at(resolved.settings, key))}"


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
    new = sources.of_python(changes)
    emptied = [path for path in free_tables() if ".".join(path) in changes]
    kept = [
        Entry(path, value, "")
        for path, value in [*counts_of(settings), *values_of(settings)]
        if not any(path[: len(free)] == free for free in emptied)
    ]
    # The totals of arrays are made anew from the tables there are then.
    totals = [tuple(name.split(".")) for name in totals_of(settings)]
    kept = [entry for entry in kept if entry.path not in totals]
    return _resolved(Layers([kept, new])).settings


def _resolved(
    layers: Layers,
    at_hand: AtHand = nothing_at_hand,
    undecided: Collection[Key] = (),
    *,
    partial: bool = False,
) -> Resolved:
    """The layers put on top of each other, or SettingsError with all problems.

    Settings that are ``undecided`` cannot clash, nor can defaults if ``partial``.
    """
    problems = list(layers.problems)
    sound: list[list[Entry]] = []
    bad: set[Key] = {*undecided}
    for entries in numbered(without_auto(layers.entries), problems):
        good, found = checked(entries)
        problems += found
        sound.append(good)
        bad |= {one.path for one in entries} - {one.path for one in good}
    history, faults = computed(sound, at_hand, amiss)
    settings = settings_from(history)
    rank = {one.path: nr for nr, entries in enumerate(sound) for one in entries}
    problems += [*faults, *contradicted(history, settings, rank)]
    resolved = Resolved(settings, history)
    # Where a file is missing or a value is wrong, a clash may be no clash.
    if not layers.problems and not faults:
        for clash in clashes(resolved.settings):
            keys = [_key(name, history) for name in clash.keys]
            if bad.isdisjoint(keys) and (not partial or history.keys() >= {*keys}):
                problems.append(_told(keys, clash.reason, resolved, rank))
    if problems:
        raise SettingsError(*abridged(problems))
    return resolved


def _key(name: str, history: Iterable[Key]) -> Key:
    """The path of a dotted name; a free table may have dots in its own."""
    return next(
        (path for path in history if ".".join(path) == name), tuple(name.split("."))
    )


def _told(
    keys: Sequence[Key], reason: str, resolved: Resolved, rank: Mapping[Key, int]
) -> str:
    """A clash at the place that had the last word in it, and the other values."""
    first = max(keys, key=lambda key: rank.get(key, -1))
    # What an array's table leaves out, the array itself is to blame for.
    setter = resolved.setter(first) or resolved.setter(place_of(first).table[:-1])
    # Of defaults none clash, save where what is installed cannot be read.
    subject = setter.subject() if setter else _set(first, resolved)
    others = [
        f"{_set(key, resolved)} ({resolved.origin(key)})"
        for key in keys
        if key != first
    ]
    return "; ".join([f"{subject}: {reason}", *others])
