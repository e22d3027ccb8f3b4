"""Whether a study holds what slangmod keeps in one; others may have written to it."""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from slangmod.search.proposals import distributions
from slangmod.search.space import Space

HOME, TOKEN, REASON, SECONDS = "home", "token", "reason", "seconds"
"""Attributes of a trial."""


def refuse_unsound(study: optuna.Study, space: Space, direction: str) -> None:
    """Raise ValueError where ``study`` has what no sweep through ``space`` writes.

    Optuna raises whatever it likes on the way.
    """
    if [one.name.lower() for one in study.directions] != [direction]:
        raise ValueError(f"its direction is not {direction}")
    kinds = distributions(space)
    for number, trial in enumerate(study.get_trials(deepcopy=False)):
        if trial.number != number:
            raise ValueError(f"there is no trial {number}")
        if problem := next(_faults(trial, kinds), None):
            raise ValueError(f"trial {number}: {problem}")


def _faults(trial: FrozenTrial, kinds: Mapping[str, BaseDistribution]) -> Iterator[str]:
    """What is wrong with a trial. Optuna's own checks come last, and raise."""
    if trial.state == TrialState.WAITING or trial.distributions != kinds:
        yield "it is of another space"
    for name, kind in kinds.items():
        is_choice = isinstance(kind, CategoricalDistribution)
        if not (is_choice or is_number(trial.params.get(name))):
            yield f"its {name} is no number"
    values = trial.values or []  # of what was pruned, the last that it reported
    if not all(map(is_number, values)):
        yield "its value is no number"
    is_done = trial.state == TrialState.COMPLETE
    if is_done and (len(values) != 1 or not isfinite(values[0])):
        yield "its value is not one finite number"
    reported = trial.intermediate_values
    if not all(type(step) is int and is_number(reported[step]) for step in reported):
        yield "what it has reported are no numbers"
    about = trial.user_attrs
    seconds = about.get(SECONDS)
    if not (seconds is None or (is_number(seconds) and 0 <= seconds < float("inf"))):
        yield "its seconds are none"
    if not all(isinstance(about.get(name, ""), str) for name in (HOME, TOKEN, REASON)):
        yield "what is written beside it is no text"
    trial._validate()


def is_number(value: Any) -> bool:
    """Whether ``value`` is a number, and not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_about(content: Any) -> bool:
    """Whether ``content`` is what a study says of its sweep: texts, by name."""
    if not isinstance(content, dict):
        return False
    tables = [content.get(name, {}) for name in ("space", "settings")]
    others = {k: v for k, v in content.items() if k not in ("space", "settings")}
    return all(
        isinstance(table, dict) and all(isinstance(one, str) for one in table.values())
        for table in (*tables, others)
    )
