"""All there is to say about one setting."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from slangmod.errors import SettingsError
from slangmod.settings.catalog import Key, Known, arrays, catalog, tables
from slangmod.settings.course import AtHand
from slangmod.settings.derived import DERIVED, derived_value
from slangmod.settings.entries import PREFIX
from slangmod.settings.free import thawed
from slangmod.settings.literals import abbreviated, dotted, literal
from slangmod.settings.places import known_at, place_of
from slangmod.settings.resolved import Resolved
from slangmod.settings.sections import Settings
from slangmod.settings.suggest import unknown
from slangmod.settings.values import value_at

ANY = "N"
"""Stands for the number of a table of an array, where none is given."""

Users = Callable[[Key], str]
"""Path of a setting -> which actions obey it, in words."""


@dataclass(frozen=True)
class Topic:
    """A setting to be explained; in an array its path has a number, or ANY."""

    path: Key
    known: Known

    @property
    def name(self) -> str:
        """The dotted name in full."""
        return dotted(self.path)


def settings_named(name: str) -> list[Topic]:
    """The setting ``name``, or all settings in the section of that name.

    ``stage.epochs`` is that of any stage, ``stage.2.epochs`` that of the second.
    Raises SettingsError, saying what comes near, if there is neither.
    """
    path = tuple(name.removeprefix("--").strip("[]").replace("-", "_").split("."))
    for array in arrays():
        end = len(array)
        if path[:end] == array and not _is_number((*path, "")[end]):
            path = (*array, ANY, *path[end:])
    place = place_of(path)
    if known := known_at(path):
        return [Topic(path, known)]
    if place.rest in tables(place.section):
        return [
            Topic((*place.table, *one.path), one)
            for one in catalog(place.section).values()
            if one.path[: len(place.rest)] == place.rest
        ]
    raise SettingsError(unknown(path, is_table=False))


def _is_number(word: str) -> bool:
    return word.isdecimal() or word == ANY


def about(topic: Topic, resolved: Resolved, users: Users) -> dict[str, Any]:
    """What there is to say, by heading."""
    known = topic.known
    name, inputs = topic.name, (known.name, known.path[0])
    return {
        "name": name,
        "value": thawed(value_at(resolved.settings, topic.path)),
        "meaning": known.meaning,
        "type": known.type_in_words().replace("|", " | "),
        "range": known.range_in_words(),
        "unit": known.unit,
        "default": thawed(known.default),
        "origin": resolved.origin(topic.path),
        "flag": f"--{name}",
        "variable": PREFIX + name.upper().replace(".", "__"),
        "used by": users(topic.path),
        "derived from it": ", ".join(
            one for one, how in DERIVED.items() if not {*inputs}.isdisjoint(how.inputs)
        ),
    }


def about_derived(name: str, settings: Settings, at_hand: AtHand) -> dict[str, Any]:
    """What there is to say of a derived value."""
    return {
        "name": name,
        "value": derived_value(name, settings, at_hand),
        "meaning": f"derived: {DERIVED[name].formula}",
        "default": None,
        "set instead": ", ".join(DERIVED[name].inputs),
    }


def explained(facts: Mapping[str, Any]) -> str:
    """What ``about`` gives as text: the value, the meaning, the rest in columns."""
    value = abbreviated(facts["value"])
    lines = [f"{facts['name']} = {value}", f"  {facts['meaning']}"]
    told = dict(facts)
    if "origin" in facts:
        told["default"] = literal(facts["default"])
    for heading, fact in told.items():
        if fact and heading not in ("name", "value", "meaning"):
            lines.append(f"  {heading:<16}{fact}")
    return "\n".join(lines) + "\n"
