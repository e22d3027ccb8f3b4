"""Is every value of the kind and in the range that its setting asks for?

Each source is checked for itself, so a mistake is found even where a stronger source
hides it. pydantic decides; what it says is put into words here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

from pydantic import ValidationError

from slangmod.settings import suggest
from slangmod.settings.aliases import our_word
from slangmod.settings.catalog import Key, Known, catalog, tables
from slangmod.settings.entries import Entry, known_at, toml_value
from slangmod.settings.free import SCALARS, frozen
from slangmod.settings.literals import NONE, literal
from slangmod.settings.scan import DEEPEST, LONGEST_KEY
from slangmod.settings.sections import Settings
from slangmod.settings.values import is_at, put

MOST = 50
"""Problems that are worked out and shown."""

WHOLE = range(-(2**63), 2**63)
"""The whole numbers of TOML."""


def checked(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    """The entries of one source that are sound, and what is wrong with the others."""
    found: dict[Key, str] = {}
    sound: list[Entry] = []
    for entry in entries:
        if problem := _at_first_sight(entry, near=len(found) < MOST):
            found[entry.path] = problem
        else:
            sound.append(_normal(entry))
    tree = tree_of(sound)
    sound = [entry for entry in sound if is_at(tree, entry.path, entry.value)]
    found |= _refused(tree, sound)
    problems = [found[entry.path] for entry in entries if entry.path in found]
    return [entry for entry in sound if entry.path not in found], problems


def abridged(problems: Iterable[str]) -> tuple[str, ...]:
    """``problems`` without repetition: MOST of them, and how many more there are."""
    once = tuple(dict.fromkeys(problems))
    more = len(once) - MOST
    return (*once[:MOST], f"... and {more} more problems") if more > 0 else once


def tree_of(entries: Iterable[Entry]) -> dict[str, Any]:
    """Nested tables with the values of ``entries``; of those that clash the last."""
    tree: dict[str, Any] = {}
    for entry in entries:
        put(tree, entry.path, entry.value)
    return tree


def _at_first_sight(entry: Entry, near: bool) -> str:
    """What is wrong with an entry, whatever its setting asks for; empty if nothing.

    ``near``: whether to look for a name that may have been meant (it takes time).
    """
    known = known_at(entry.path)
    if known is None and entry.path in tables() and not isinstance(entry.value, dict):
        some = next(n for n in catalog() if n.startswith(f"{'.'.join(entry.path)}."))
        return f"{entry.subject()}: is a section; set what is in it, such as {some}"
    if known is None:
        message = suggest.unknown(entry.path, isinstance(entry.value, Mapping), near)
        return f"{entry.place}: {message}" if entry.place else message
    if len(entry.path) > DEEPEST:
        return f"{entry.subject()}: is nested deeper than {DEEPEST} tables"
    if any(len(part) > LONGEST_KEY for part in entry.path):
        return f"{entry.subject()}: has a key of more than {LONGEST_KEY} characters"
    problem = _beyond_toml(entry.value, len(entry.path), unset=not known.free)
    return f"{entry.subject()}: {problem}" if problem else ""


def _beyond_toml(value: Any, depth: int, unset: bool = False) -> str:
    """Why a TOML file could not hold ``value`` ``depth`` levels down, if so.

    ``unset``: whether None is fine, since it can be spelled as a word.
    """
    if depth > DEEPEST + 1:
        return f"is nested deeper than {DEEPEST} tables and lists"
    if isinstance(value, Mapping):
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
    if known and known.optional and entry.value in (None, NONE):
        return replace(entry, value=None)
    if entry.value is None:
        return entry
    value = our_word(entry.name, entry.value, known.words if known else ())
    return replace(entry, value=frozen(value))


def _refused(tree: dict[str, Any], entries: Sequence[Entry]) -> dict[Key, str]:
    """What pydantic refuses, in our words, by path; one problem for each entry."""
    by_path = {entry.path: entry for entry in entries}
    try:
        Settings.model_validate(tree)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        locations = [tuple(one["loc"]) for one in found]
    else:
        return {}
    problems: dict[Key, str] = {}
    for location in locations:
        for end in range(1, len(location) + 1):
            path = tuple(map(str, location[:end]))
            if entry := by_path.get(path):
                problem = wrong(catalog()[entry.name], entry.value)
                problems.setdefault(path, f"{entry.subject()}: {problem}")
    return problems


def wrong(known: Known, value: Any) -> str:
    """What a value that ``known`` refuses should be instead."""
    kinds = [shape.kind for shape in known.shapes]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    right_kind = int in kinds or float in kinds
    if is_number and right_kind and (isinstance(value, int) or float in kinds):
        unset = f", or {literal(None)}" if known.optional else ""
        return f"must be {known.limits_in_words()}{unset}"
    expected = known.expected()
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
