"""The space of a sweep: settings and what is tried for each, all of it possible."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Any

from slangmod.errors import SettingsError
from slangmod.search.dimensions import Choice, Dimension, GrammarError, whole
from slangmod.search.grammar import parsed
from slangmod.settings.catalog import Known
from slangmod.settings.check import checked
from slangmod.settings.course import AtHand
from slangmod.settings.entries import Entry
from slangmod.settings.literals import brief
from slangmod.settings.load import tried
from slangmod.settings.places import known_at
from slangmod.settings.resolved import Resolved
from slangmod.settings.run import may_change
from slangmod.settings.seeking import SPACE, name_in
from slangmod.settings.values import values_of

Space = Mapping[str, Dimension]
"""What is tried, by the dotted name of the setting."""

MOST_COMBINATIONS = 64
"""Combinations among which one is looked for that a candidate is possible with."""

TRIED = "tried with it"
"""Where a candidate comes from, in what is said of those that clash with it."""

MAY_BE_SEARCHED = (
    *("seed", "threads", "deterministic", "files.tokenizer", "tokens", "data"),
    *("model", "train", "optimizer", "stage", "extra"),
)
"""Settings, or sections of them, that decide about what a run learns."""

MAKES_CORPUS = ("tokens.eos_regex",)
"""Settings that only `clean` heeds; the trials of a sweep share its corpus."""


@dataclass(frozen=True)
class Sought:
    """One setting of the space: ``entry`` holds its path, what was written, where."""

    entry: Entry
    dimension: Dimension


def open_space(resolved: Resolved, at_hand: AtHand) -> Space:
    """The space that ``sweep.space`` of ``resolved`` describes.

    Raises SettingsError with each name, text and candidate that will not do. That a
    candidate is possible only together with some of the others is no mistake.
    """
    problems: list[str] = []
    found: dict[str, Sought] = {}
    for entry in _entries(resolved):
        name = ".".join(entry.path)
        if name in found:
            problems.append(f"{entry.subject()}: {name} stands in the space twice")
        elif (dimension := _dimension(entry, problems)) is not None:
            found[name] = Sought(entry, dimension)
    if not (found or problems):
        problems.append(
            "there is nothing to search: say what to try for some setting, such as "
            "--train.learning_rate 'interval(1e-4, 1e-2, log=true)'"
        )
    if not problems:
        problems = list(_impossible(resolved, found, at_hand))
    if problems:
        raise SettingsError(*dict.fromkeys(problems))
    return {name: one.dimension for name, one in found.items()}


def settings_with(
    resolved: Resolved, values: Mapping[str, Any], place: str, at_hand: AtHand
) -> Resolved:
    """The settings of a sweep with ``values`` chosen, and nothing of the sweep itself.

    Raises SettingsError where the values do not go together.
    """
    own = {
        path: entries
        for path, entries in resolved.history.items()
        if path[0] != "sweep" and path != ("name",) and ".".join(path) not in values
    }
    return tried(Resolved(resolved.settings, own), values, place, at_hand)


def _entries(resolved: Resolved) -> Iterator[Entry]:
    """What stands in the space, each under the name of its setting."""
    for path, value in values_of(resolved.settings):
        if path[: len(SPACE)] == SPACE and len(path) > len(SPACE):
            setter = resolved.setter(path) or Entry(path, value, "")
            yield replace(setter, path=name_in(path), value=value)


def _dimension(entry: Entry, problems: list[str]) -> Dimension | None:
    """What an entry says to try; None, and why among ``problems``, if that fails."""
    known = known_at(entry.path)
    name = ".".join(entry.path)
    if known is None:
        problems += checked([entry])[1]
    elif name in MAKES_CORPUS or not may_change(entry.path, MAY_BE_SEARCHED):
        problems.append(
            f"{entry.subject()}: makes no difference between trials; search through "
            "settings of tokens, data, model, train, optimizer or stage"
        )
    elif not isinstance(entry.value, str):
        problems.append(
            f"{entry.subject()}: say what to try in a text, such as "
            '"choice(32, 64)" or "interval(1e-4, 1e-2, log=true)"'
        )
    else:
        try:
            dimension = _fitting(parsed(entry.value), known)
        except GrammarError as error:
            problems.append(f"{entry.subject()}: {error}")
            return None
        reasons = [_reason(entry, value) for value in dimension.ends()]
        problems += filter(None, reasons)
        return None if any(reasons) else dimension
    return None


def _fitting(dimension: Dimension, known: Known) -> Dimension:
    """An interval of whole numbers where the setting holds no others.

    Raises GrammarError where it holds no numbers at all.
    """
    kinds = [shape.kind for shape in known.shapes]
    if isinstance(dimension, Choice) or float in kinds or known.free:
        return dimension
    if int in kinds:
        return whole(dimension)
    raise GrammarError(f"an interval is of numbers; {known.name}: {known.expected()}")


def _reason(entry: Entry, value: Any) -> str:
    """Why its setting refuses a candidate, whatever else is set; empty if not."""
    candidate = replace(entry, value=value, place="", named=False)
    problems = checked([candidate])[1]
    if not problems:
        return ""
    reason = problems[0].removeprefix(f"{candidate.subject()}: ")
    return f"{entry.subject()}: {brief(value)}: {reason}"


def _impossible(
    resolved: Resolved, found: Mapping[str, Sought], at_hand: AtHand
) -> Iterator[str]:
    """For each candidate that no combination goes with, what is wrong with it."""
    for name, one in found.items():
        for value in one.dimension.ends():
            others = {key: two.dimension for key, two in found.items() if key != name}
            reason = _clash(resolved, {name: Choice((value,)), **others}, at_hand)
            if reason:
                yield f"{one.entry.subject()}: {brief(value)}: {reason}"


def _clash(resolved: Resolved, space: Space, at_hand: AtHand) -> str:
    """Why none of the first combinations of ``space`` is possible; empty if one is."""
    reason = ""
    ends = [dimension.ends() for dimension in space.values()]
    for values in islice(product(*ends), MOST_COMBINATIONS):
        chosen = dict(zip(space, values, strict=True))
        try:
            settings_with(resolved, chosen, TRIED, at_hand)
        except SettingsError as error:
            problems = (one.removeprefix(f"{TRIED}: ") for one in error.problems)
            reason = reason or "; ".join(problems)
        else:
            return ""
    return reason


def combinations(space: Space) -> int:
    """How many combinations there are, where all intervals have steps."""
    return math.prod(one.count or 1 for one in space.values())


def described(space: Space) -> dict[str, str]:
    """The space in words that can be read again and compared.

    >>> described({"train.power": parsed("interval(0.5, 1.0)")})
    {'train.power': 'interval(0.5, 1.0)'}
    """
    return {name: _described(dimension) for name, dimension in sorted(space.items())}


def _described(dimension: Dimension) -> str:
    if isinstance(dimension, Choice):
        return f"choice({', '.join(map(_spelled, dimension.values))})"
    parts = [repr(dimension.low), repr(dimension.high)]
    parts += ["log=true"] if dimension.log else []
    parts += [] if dimension.step is None else [f"step={dimension.step!r}"]
    text = f"interval({', '.join(parts)})"
    return f"int({text})" if dimension.whole else text


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_spelled, value))}]"
    return repr(value)
