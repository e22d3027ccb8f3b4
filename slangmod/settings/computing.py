"""Expressions in settings, evaluated: which value each name in them stands for."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from slangmod.errors import SettingsError
from slangmod.settings import expressions, suggest
from slangmod.settings.catalog import Key, arrays
from slangmod.settings.course import AtHand
from slangmod.settings.derived import DERIVED
from slangmod.settings.entries import Entry
from slangmod.settings.expressions import FaultError
from slangmod.settings.free import frozen
from slangmod.settings.literals import dotted, short
from slangmod.settings.merging import History, merged, settings_from
from slangmod.settings.places import Tables, known_at
from slangmod.settings.sections import Settings
from slangmod.settings.values import value_at

BASE = "base"
"""What ``base.train.warmup`` begins with: the value that weaker sources give."""

Check = Callable[[Entry], str]
"""What is wrong with the value of an entry; empty if nothing."""


def computed(
    layers: Sequence[list[Entry]], at_hand: AtHand, check: Check
) -> tuple[History, list[str]]:
    """``layers`` merged, what is on top and is an expression evaluated; problems.

    An expression that comes to nothing is left out of the history.
    """
    problems: list[str] = []
    work = _Work(layers, at_hand, problems)
    history = dict(work.history)
    for path, (entry, *weaker) in work.history.items():
        if not entry.is_computed:
            continue
        try:
            result = replace(entry, value=work.value(path), expression=entry.value)
            problem = check(result)
        except FaultError as fault:
            problem = f"{entry.subject()}: {fault}"
        if problem:
            problems.append(problem)
            del history[path]
        else:
            history[path] = (result, *weaker)
    return _only_values(history), problems


def _only_values(history: History) -> History:
    """``history`` without expressions that were overridden before they came to be."""
    return {
        path: (first, *(one for one in weaker if not one.is_computed))
        for path, (first, *weaker) in history.items()
    }


class _Work:
    """One evaluation over ``layers``, weakest first: what is known and under way."""

    def __init__(
        self, layers: Sequence[list[Entry]], at_hand: AtHand, problems: list[str]
    ) -> None:
        self.layers, self.at_hand = layers, at_hand
        self.history = merged(layers, problems)
        self.rank = {e.path: nr for nr, some in enumerate(layers) for e in some}
        self.known: dict[Key, Any] = {}
        self.under_way: list[Key] = []

    def value(self, path: Key) -> Any:
        """The value at ``path``, computed where it is an expression."""
        entry = self.history.get(path, (None,))[0]
        if entry is None:
            return value_at(Settings(), path)
        if not entry.is_computed:
            return entry.value
        if path not in self.known:
            if path in self.under_way:
                circle = [*self.under_way[self.under_way.index(path) :], path]
                chain = " -> ".join(map(dotted, circle))
                raise FaultError(f"expressions go in a circle: {chain}")
            self.under_way.append(path)
            try:
                self.known[path] = self.evaluated(entry)
            finally:
                self.under_way.pop()
        return self.known[path]

    def evaluated(self, entry: Entry) -> Any:
        """What the expression of an entry comes to."""
        tree = expressions.parsed(entry.value[1:])
        weaker = self.layers[: self.rank[entry.path]]
        value = expressions.evaluated(tree, lambda n: self.named(n, weaker))
        return None if value is None else frozen(value)

    def named(self, name: str, weaker: Sequence[list[Entry]]) -> Any:
        """What ``name`` stands for in an expression above ``weaker`` sources."""
        first, _, rest = name.partition(".")
        if first == BASE and rest:
            return _Work(weaker, self.at_hand, []).named(rest, [])
        path = tuple(name.split("."))
        if name in DERIVED:
            return self.derived(name)
        if known_at(path) is None and path not in arrays():
            raise FaultError(suggest.unknown(path, is_table=False))
        value = self.value(path)
        return value.count if isinstance(value, Tables) else value

    def derived(self, name: str) -> Any:
        """A derived value, of settings among which its inputs are computed."""
        derived = DERIVED[name]
        kept = {}
        for path, (entry, *_) in self.history.items():
            if not entry.is_computed:
                kept[path] = (entry,)
            elif any(".".join(path[: len(i.split("."))]) == i for i in derived.inputs):
                kept[path] = (replace(entry, value=self.value(path)),)
        try:
            return derived.compute(settings_from(kept), self.at_hand)
        except SettingsError as error:
            raise FaultError(f"{short(name)}: {'; '.join(error.problems)}") from None
        except (ValueError, ArithmeticError) as error:  # inputs nobody has checked yet
            raise FaultError(f"{short(name)}: {error}") from None
