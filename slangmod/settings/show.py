"""Settings as TOML that can be run again, each value with its origin."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from slangmod.errors import SettingsError
from slangmod.settings.catalog import Key
from slangmod.settings.course import AtHand, nothing_at_hand
from slangmod.settings.derived import DERIVED, groups_of
from slangmod.settings.free import thawed
from slangmod.settings.groups import in_brief
from slangmod.settings.layers import BASE
from slangmod.settings.literals import (
    abbreviated,
    dotted,
    literal,
    printable,
)
from slangmod.settings.load import load_settings
from slangmod.settings.places import free_table, place_of
from slangmod.settings.resolved import Resolved
from slangmod.settings.sections import Settings
from slangmod.settings.totals import TOTALS, totals_of
from slangmod.settings.values import counts_of, plain, put, value_at, values_of

WIDEST = 22
"""Characters of an assignment beyond which comments are not lined up any more: as long
as the longest of the settings that are looked at most."""


def show(
    resolved: Resolved,
    *,
    changed: bool = False,
    derived: bool = False,
    at_hand: AtHand = nothing_at_hand,
) -> str:
    """All settings as TOML, with comments on where each value comes from.

    ``changed``: only those that are not as the program's defaults have them.
    ``derived``: with those derived values, too, that take time or need the data, which
    ``at_hand`` knows. Loading it gives the same settings again.
    """
    settings = resolved.settings
    shown = changes(settings) if changed else values_of(settings)
    blocks = []
    for section, members in groupby(shown, key=lambda pair: section_of(pair[0])):
        lines = [_line(resolved, path, value) for path, value in members]
        if not changed:
            lines += _derived(settings, section, derived, at_hand)
        if derived and section[:2] == ("optimizer", "group"):
            lines += _taken(settings, section[2])
        blocks.append(_block(section, lines))
    return "\n".join(blocks)


def run_config(resolved: Resolved, name: str) -> str:
    """What a run's config.toml holds: absolute paths, so that it loads anywhere."""
    named = resolved.with_values({"name": name}, "chosen when the run began")
    return show(named.absolute(Path.cwd()))


def as_toml(settings: Settings) -> str:
    """All settings as TOML without comments."""
    blocks = []
    totals = totals_of(settings)
    for section, members in groupby(
        values_of(settings), key=lambda p: section_of(p[0])
    ):
        lines = [
            (assignment(path, value), "")
            for path, value in members
            if ".".join(path) not in totals
        ]
        blocks.append(_block(section, lines))
    return "\n".join(blocks)


def changed_values(settings: Settings) -> dict[str, Any]:
    """Nested dictionaries of what ``show`` with ``changed`` shows."""
    tree: dict[str, Any] = {}
    for path, value in changes(settings):
        if not place_of(path).table:
            put(tree, path, thawed(value))
    whole = plain(settings)
    for array, count in counts_of(settings):
        assert count.count  # counts_of leaves out arrays that are empty
        tables: Any = whole
        for part in array:
            tables = tables[part]
        put(tree, array, tables)
    return tree


def changes(settings: Settings) -> list[tuple[Key, Any]]:
    """The values that are not default, or would not be if they were left out.

    The latter are those where the preset of ``size`` has something else.
    """
    preset = load_settings(None, {"size": settings.size})
    sources = (Settings(), preset)
    totals = totals_of(settings)
    return [
        (path, value)
        for path, value in values_of(settings)
        if ".".join(path) not in totals
        and (
            place_of(path).table
            or any(value != value_at(source, path) for source in sources)
        )
    ]


def section_of(path: Key) -> Key:
    """The section, or the table of an array, that the setting at ``path`` is in."""
    return place_of(path).table or free_table(path) or path[:-1]


def _line(resolved: Resolved, path: Key, value: Any) -> tuple[str, str]:
    """An assignment and its comment."""
    comment = printable(resolved.origin(path))
    base = resolved.setter(BASE)
    if path == BASE and base is not None and base.value is not None:
        # Its values are all written out, so it is not to be read a second time.
        commented = f"# base = {literal(base.value)}"
        return commented, f"{comment}; its values are written out"
    name = ".".join(path)
    if name in totals_of(resolved.settings):
        array = ".".join(TOTALS[name])
        some = any(stage.steps for stage in resolved.settings.stage)
        note = ", stages of so many steps left out" if array == "stage" and some else ""
        return (
            f"# {assignment(path, value)}",
            f"derived: the sum over [[{array}]]{note}",
        )
    return assignment(path, value), comment


def assignment(path: Key, value: Any) -> str:
    """How ``value`` is set at ``path``, in the table of its section."""
    return f"{dotted(path[len(section_of(path)) :])} = {literal(value)}"


def _derived(
    settings: Settings, section: Key, costly: bool, at_hand: AtHand
) -> Iterator[tuple[str, str]]:
    for name, derived in DERIVED.items():
        *above, last = name.split(".")
        if tuple(above) == section and (costly or not derived.costly):
            try:
                value = f" = {abbreviated(derived.compute(settings, at_hand))}"
            except SettingsError as error:
                value = f": {'; '.join(error.problems)}"
            yield f"# {last}{value}   derived: {derived.formula}", ""


def _taken(settings: Settings, number: str) -> Iterator[tuple[str, str]]:
    """Which weights a group of the optimizer takes."""
    groups = groups_of(settings)
    names = groups[number]
    of = sum(map(len, groups.values()))
    yield f"# takes {len(names)} of {of} tensors: {in_brief(names)}", ""


def _block(section: Key, lines: list[tuple[str, str]]) -> str:
    """A table of TOML, its comments lined up."""
    widths = [len(left) for left, right in lines if right and len(left) <= WIDEST]
    width = max(widths, default=0)
    array = place_of(section).table[:-1] if section else ()
    title = f"[[{dotted(array)}]]" if array else f"[{dotted(section)}]"
    texts = [title] if section else []
    texts += [
        f"{left:<{width}}   # {right}" if right else left for left, right in lines
    ]
    return "\n".join(texts) + "\n"
