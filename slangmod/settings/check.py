"""Is every value of the kind and in the range that its setting asks for?

Each source is checked for itself, so a mistake is found even where a stronger source
hides it. pydantic decides; what it says is put into words here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from math import isfinite
from typing import Any

from pydantic import ValidationError

from slangmod.settings import expressions, suggest
from slangmod.settings.aliases import our_word
from slangmod.settings.catalog import Key, Known, arrays, catalog
from slangmod.settings.entries import Entry, toml_value
from slangmod.settings.expressions import FaultError
from slangmod.settings.free import SCALARS, frozen
from slangmod.settings.literals import literal
from slangmod.settings.places import Tables, known_at, opens, place_of
from slangmod.settings.plugins import as_reference
from slangmod.settings.scan import DEEPEST, LONGEST_KEY
from slangmod.settings.sections import Section, Settings
from slangmod.settings.seeking import is_sought
from slangmod.settings.stages import refusal
from slangmod.settings.values import is_at, put

MOST = 50
"""Problems that are worked out and shown."""

WHOLE = range(-(2**63), 2**63)
"""The whole numbers of TOML."""


def checked(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    """The entries of one source that are sound, and what is wrong with the others.

    Of an expression only the syntax is looked at: what it comes to is checked by
    ``amiss`` once it is known.
    """
    found: dict[Key, str] = {}
    sound: list[Entry] = []
    for entry in entries:
        if problem := _at_first_sight(entry, near=len(found) < MOST):
            found[entry.path] = problem
        else:
            sound.append(_normal(entry))
    tree = tree_of(sound)
    sound = [e for e in sound if is_tables(e) or is_at(tree, e.path, e.value)]
    found |= _refused([e for e in sound if not (is_tables(e) or e.is_computed)])
    problems = [found[entry.path] for entry in entries if entry.path in found]
    return [entry for entry in sound if entry.path not in found], problems


def amiss(entry: Entry) -> str:
    """What is wrong with the value of one entry; empty if nothing."""
    problem = _beyond_toml(entry.value, len(entry.path), unset=True)
    if problem:
        return f"{entry.subject()}: {problem}"
    return next(iter(_refused([entry]).values()), "")


def is_tables(entry: Entry) -> bool:
    """Whether the entry says how many tables an array has."""
    return isinstance(entry.value, Tables)


def abridged(problems: Iterable[str]) -> tuple[str, ...]:
    """``problems`` without repetition: MOST of them, and how many more there are."""
    once = tuple(dict.fromkeys(problems))
    more = len(once) - MOST
    return (*once[:MOST], f"... and {more} more problems") if more > 0 else once


def tree_of(entries: Iterable[Entry]) -> dict[str, Any]:
    """Nested tables with the values of ``entries``; of those that clash the last."""
    tree: dict[str, Any] = {}
    for entry in entries:
        if not is_tables(entry):
            put(tree, entry.path, entry.value)
    return tree


def _at_first_sight(entry: Entry, near: bool) -> str:
    """What is wrong with an entry, whatever its setting asks for; empty if nothing.

    ``near``: whether to look for a name that may have been meant (it takes time).
    """
    known = known_at(entry.path)
    if entry.path in arrays():
        name = entry.name
        form = f"is an array of tables: write [[{name}]], or {name} = [{{...}}]"
        return "" if is_tables(entry) else f"{entry.subject()}: {form}"
    if known is None and opens(entry.path) and not isinstance(entry.value, dict):
        return f"{entry.subject()}: is a section; set what is in it{_such_as(entry)}"
    if known is None:
        message = suggest.unknown(entry.path, isinstance(entry.value, Mapping), near)
        return f"{entry.place}: {message}" if entry.place else message
    place = place_of(entry.path)
    is_change = place.table and place.section is Settings
    if is_change and (reason := refusal(".".join(place.rest))):
        return f"{entry.subject()}: {reason}"
    if entry.is_computed:
        try:
            expressions.parsed(entry.value[1:])
        except FaultError as fault:
            return f"{entry.subject()}: {fault}"
    if len(entry.path) > DEEPEST:
        return f"{entry.subject()}: is nested deeper than {DEEPEST} tables"
    if any(len(part) > LONGEST_KEY for part in entry.path):
        return f"{entry.subject()}: has a key of more than {LONGEST_KEY} characters"
    problem = _beyond_toml(entry.value, len(entry.path), unset=not known.free)
    return f"{entry.subject()}: {problem}" if problem else ""


def _such_as(entry: Entry) -> str:
    """A setting that stands in the section that somebody set, as a hint."""
    place = place_of(entry.path)
    above = ".".join(place.rest)
    inside = (n for n in catalog(place.section) if not above or n.startswith(above))
    some = next(inside, "")
    return f", such as {'.'.join((*place.table, some))}" if some else ""


def _beyond_toml(value: Any, depth: int, unset: bool = False) -> str:
    """Why a TOML file could not hold ``value`` ``depth`` levels down, if so.

    ``unset``: whether None is fine, since it can be spelled as a word.
    """
    if depth > DEEPEST + 1:
        return f"is nested deeper than {DEEPEST} tables and lists"
    if isinstance(value, Mapping):
        if value and depth + 1 > DEEPEST:
            return f"is nested deeper than {DEEPEST} tables"
        if any(len(str(key)) > LONGEST_KEY for key in value):
            return f"has a key of more than {LONGEST_KEY} characters"
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        problems = (_beyond_toml(item, depth + 1) for item in value)
        return next(filter(None, problems), "")
    if isinstance(value, bool):
        return ""
    if isinstance(value, float) and not isfinite(value):
        return "must be a finite number"
    if isinstance(value, int) and value not in WHOLE:
        return "must be a whole number of at most 64 bits"
    if isinstance(value, str) and any("\ud800" <= one <= "\udfff" for one in value):
        return "must be text that UTF-8 can hold"
    if not isinstance(value, SCALARS) and not (unset and value is None):
        return "must be text, a number, true or false, a date, a list or a table"
    return ""


def _normal(entry: Entry) -> Entry:
    """The entry with None where it unsets, our words for others, and frozen lists."""
    known = known_at(entry.path)
    if known and known.optional and entry.value in (None, known.unset):
        return replace(entry, value=None)
    if entry.value is None or is_tables(entry):
        return entry
    words = known.words if known else ()
    named = as_reference(entry.value) if words else entry.value
    value = our_word(entry.name, named, words)
    return replace(entry, value=frozen(value))


def _refused(entries: Iterable[Entry]) -> dict[Key, str]:
    """What pydantic refuses, in our words, by path; one problem for each entry."""

    def scope(entry: Entry) -> tuple[Key, str]:
        place = place_of(entry.path)
        return place.table, place.section.__name__

    problems: dict[Key, str] = {}
    for _, members in groupby(sorted(entries, key=scope), key=scope):
        group = list(members)
        place = place_of(group[0].path)
        end = len(place.table)
        by_path = {entry.path[end:]: entry for entry in group}
        for path in _refused_of(place.section, by_path):
            entry = by_path[path]
            known = known_at(entry.path)
            assert known is not None  # what is not known has been told of before
            problem = f"{entry.subject()}: {wrong(known, entry.value)}"
            problems.setdefault(entry.path, problem)
    return problems


def _refused_of(section: type[Section], by_path: Mapping[Key, Entry]) -> Iterable[Key]:
    """The paths of ``by_path`` whose values ``section`` refuses."""
    tree: dict[str, Any] = {}
    for path, entry in by_path.items():
        put(tree, path, entry.value)
    try:
        section.model_validate(tree)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_context=False):
            location = tuple(map(str, one["loc"]))
            for end in range(1, len(location) + 1):
                if location[:end] in by_path:
                    yield location[:end]


def wrong(known: Known, value: Any) -> str:
    """What a value that ``known`` refuses should be instead."""
    kinds = [shape.kind for shape in known.shapes]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    right_kind = int in kinds or float in kinds
    if is_number and right_kind and (isinstance(value, int) or float in kinds):
        unset = f", or {literal(None)}" if known.optional else ""
        return f"must be {known.limits_in_words()}{unset}"
    expected = known.expected()
    if is_sought(value):
        return (
            f"is what to search through; run `slangmod sweep` for that, or {expected}"
        )
    if near := _words_near(known, value):
        return f"{expected}; did you mean {suggest.alternatives(near)}?"
    if isinstance(value, str) and type(toml_value(value)) in kinds:
        return f"{expected}, without quotes"
    return expected


def _words_near(known: Known, value: Any) -> list[str]:
    """The words that were meant where ``value`` misspells some."""
    if isinstance(value, str):
        return suggest.among(value, known.words)
    items = value if isinstance(value, tuple) else ()
    words = [one for one in items if isinstance(one, str)]
    near = (suggest.among(w, known.item_words) for w in words)
    return next((n for w, n in zip(words, near, strict=True) if n and n != [w]), [])
