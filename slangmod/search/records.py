"""Trials as a file has them: each value looked at before it is one of a record."""

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any, Final

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from slangmod.search.soundness import is_number
from slangmod.search.study import COMPLETE, STATES, Record

MOST_TRIALS: Final = 10**9
"""Numbers of trials have nine digits at most."""

LONGEST_TIME: Final = 1e12
"""Seconds; ten thousand years are no time that was measured."""


def part[Kind](
    table: Mapping[str, Any], name: str, kind: type[Kind], default: Kind | None = None
) -> Kind:
    """``name`` of ``table``, of that very type. Raises ValueError if it is not."""
    value = table.get(name, default)
    if type(value) is not kind:
        is_there = "is not what it should be" if name in table else "is missing"
        raise ValueError(f"{name}: {is_there}")
    return value


def record_from(content: Any) -> Record:
    """The trial that a table of TOML holds; ValueError, saying why, if it is none."""
    table = part({"trial": content}, "trial", dict)
    number, state = part(table, "number", int), part(table, "state", str)
    if not 0 <= number < MOST_TRIALS:
        raise ValueError("number: is that of no trial")
    if state not in STATES.values():
        raise ValueError(f"trial {number}: state: is none")
    parameters = part(table, "parameters", dict, {})
    if not all(map(_is_value, parameters.values())):
        raise ValueError(f"trial {number}: parameters: are not numbers and texts")
    value, seconds = _number(table, "value"), _number(table, "seconds")
    if state == COMPLETE and value is None:
        raise ValueError(f"trial {number}: value: is missing")
    if seconds is not None and not 0 <= seconds < LONGEST_TIME:
        raise ValueError(f"trial {number}: seconds: are no time")
    reason = part(table, "reason", str, "")
    return Record(number, state, parameters, value, seconds, reason)


def _number(table: Mapping[str, Any], name: str) -> float | None:
    """A finite number of ``table``, or None where it has none. Raises ValueError."""
    value = table.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not isfinite(value):
        raise ValueError(f"{name}: is no finite number")
    return float(value)


def _is_value(value: Any) -> bool:
    """Whether a parameter may have ``value``."""
    if isinstance(value, bool | str):
        return True
    return isinstance(value, int | float) and isfinite(value)


def frozen(
    records: Iterable[Record], kinds: Mapping[str, BaseDistribution]
) -> list[FrozenTrial]:
    """The trials for optuna, by number; those that are not complete as failed.

    Raises ValueError, naming the trial, for one that is not of the space ``kinds``.
    """
    found = []
    for record in sorted(records, key=lambda one: one.number):
        is_complete = record.state == COMPLETE
        for name, value in record.parameters.items():
            is_choice = isinstance(kinds.get(name), CategoricalDistribution)
            if not (is_choice or is_number(value)):
                raise ValueError(f"trial {record.number}: its {name} is no number")
        try:
            found.append(
                create_trial(
                    state=TrialState.COMPLETE if is_complete else TrialState.FAIL,
                    value=record.value if is_complete else None,
                    params=dict(record.parameters),
                    distributions=dict(kinds),
                )
            )
        except (ValueError, TypeError, ArithmeticError) as error:
            raise ValueError(f"trial {record.number}: {error}") from None
    return found
