"""Who chooses what is tried next: a function of all that has been tried so far.

Each proposal is drawn from a seed of its own, made of ``sweep.seed`` and the number of
the trial, and nothing is remembered between two of them. So a sweep that was broken
off and goes on proposes what it would have proposed anyway.
"""

import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from slangmod.errors import SettingsError
from slangmod.search.dimensions import MOST, Choice, Dimension, Interval
from slangmod.search.shares import discrete, share_of, value_of
from slangmod.search.space import Space, combinations
from slangmod.settings.literals import literal

Parameters = dict[str, Any]
"""The values of a trial by dotted name, as optuna keeps them: lists are texts."""


@dataclass(frozen=True)
class Question:
    """What a proposal is made from: the trials so far, oldest first, and the rules."""

    space: Space
    seed: int
    startup: int
    """trials that are drawn at random first"""
    direction: str
    history: tuple[FrozenTrial, ...]

    @property
    def own_seed(self) -> int:
        """Of this proposal alone, 32 bits."""
        digest = hashlib.sha256(f"sweep {self.seed} {len(self.history)}".encode())
        return int.from_bytes(digest.digest()[:4], "big")


def tpe(question: Question) -> Parameters:
    """A tree-structured Parzen estimator: where good trials were denser than bad.

    Bergstra et al., Algorithms for hyper-parameter optimization, NIPS 2011.
    """
    sampler = optuna.samplers.TPESampler(
        n_startup_trials=question.startup, seed=question.own_seed
    )
    return _asked(question, sampler, question.history)


def chance(question: Question) -> Parameters:
    """Anything, independently of all before."""
    return _asked(question, optuna.samplers.RandomSampler(question.own_seed), ())


def grid(question: Question) -> Parameters | None:
    """The first combination that has not been tried; None once all have."""
    values = [one.grid() or () for one in question.space.values()]
    names = tuple(question.space)
    tried = {tuple(trial.params.get(n) for n in names) for trial in question.history}
    for combination in product(*values):
        kept = tuple(map(kept_as, combination))
        if kept not in tried:
            return dict(zip(names, kept, strict=True))
    return None


def spread(question: Question) -> Parameters:
    """The next point of a scrambled Sobol sequence, which leaves no part out."""
    import numpy as np
    from scipy.stats.qmc import Sobol

    sequence = Sobol(len(question.space), rng=np.random.default_rng(question.seed))
    if question.history:
        sequence.fast_forward(len(question.history))
    shares = sequence.random(1)[0]
    pairs = zip(question.space.items(), shares, strict=True)
    return {name: kept_as(value_of(one, float(share))) for (name, one), share in pairs}


def evolution(question: Question) -> Parameters:
    """Covariance matrix adaptation; what is no number is drawn by chance.

    Hansen, The CMA evolution strategy: a tutorial, arXiv:1604.00772. The finished
    trials are gone through once more, a generation at a time.
    """
    import numpy as np
    from cmaes import CMA

    by_chance = chance(question)
    done = [one for one in question.history if one.state == TrialState.COMPLETE]
    if len(done) < question.startup:
        return by_chance
    numbers = numeric(question.space)
    optimizer = CMA(
        mean=np.full(len(numbers), 0.5),
        sigma=1 / 6,
        bounds=np.tile([0.0, 1.0], (len(numbers), 1)),
        seed=question.own_seed,
    )
    sign = -1.0 if question.direction == "maximize" else 1.0
    size = optimizer.population_size
    for first in range(0, len(done) - size + 1, size):
        generation = [
            (
                np.array([share_of(d, one.params[n]) for n, d in numbers.items()]),
                sign * float(one.value or 0.0),
            )
            for one in done[first : first + size]
        ]
        optimizer.tell(generation)
    shares = zip(numbers.items(), optimizer.ask(), strict=True)
    return by_chance | {n: value_of(one, float(share)) for (n, one), share in shares}


Proposal = Callable[[Question], Parameters | None]

PROPOSALS: dict[str, Proposal] = {
    "tpe": tpe,
    "random": chance,
    "grid": grid,
    "cmaes": evolution,
    "qmc": spread,
}
"""By the words of ``sweep.sampler``."""


def check_sampler(sampler: str, space: Space) -> None:
    """Raise SettingsError where ``sampler`` cannot choose from ``space``."""
    problems = []
    if sampler == "cmaes" and len(numeric(space)) < 2:
        problems.append(
            'sweep.sampler = "cmaes": needs at least two numbers to search; choose tpe'
        )
    if sampler == "grid":
        problems += [
            f'sweep.sampler = "grid": {name} is an interval without steps; give it '
            "step=..., or write choice(...)"
            for name, one in space.items()
            if one.count is None
        ]
        if not problems and combinations(space) > MOST:
            problems.append(
                f'sweep.sampler = "grid": there are {combinations(space)} combinations '
                f"of more than {MOST}; search through less"
            )
    if problems:
        raise SettingsError(*problems)


def numeric(space: Space) -> dict[str, Interval]:
    """The part of ``space`` that is no choice."""
    return {name: one for name, one in space.items() if isinstance(one, Interval)}


def kept_as(value: Any) -> Any:
    """A value as optuna keeps it: a list becomes its text in TOML."""
    return literal(value) if isinstance(value, tuple) else value


def chosen(space: Space, parameters: Mapping[str, Any]) -> Parameters:
    """The values that ``parameters`` stand for: the texts of lists are lists again."""
    values = {}
    for name, kept in parameters.items():
        dimension = space[name]
        known = dimension.values if isinstance(dimension, Choice) else ()
        values[name] = next((one for one in known if kept_as(one) == kept), kept)
    return values


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space as optuna describes it."""
    return {name: _distribution(one) for name, one in space.items()}


def _distribution(one: Dimension) -> BaseDistribution:
    if isinstance(one, Choice):
        return CategoricalDistribution([kept_as(value) for value in one.values])
    if one.whole:
        step = 1 if one.step is None else int(one.step)
        return IntDistribution(int(one.low), int(one.high), one.log, step)
    return FloatDistribution(float(one.low), float(one.high), one.log, one.step)


def as_direction(word: str) -> StudyDirection:
    """What optuna calls "minimize" and "maximize"."""
    return StudyDirection[word.upper()]


def _asked(
    question: Question,
    sampler: optuna.samplers.BaseSampler,
    history: tuple[FrozenTrial, ...],
) -> Parameters:
    """What a sampler of optuna proposes that knows ``history`` and nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(
            direction=as_direction(question.direction), sampler=sampler
        )
        study.add_trials(history)
        parameters = study.ask(distributions(question.space)).params
    return {name: _snapped(question.space[name], v) for name, v in parameters.items()}


def _snapped(dimension: Dimension, value: Any) -> Any:
    """``value`` without the dust of adding steps in floating point."""
    values = discrete(dimension) if isinstance(dimension, Interval) else None
    return min(values, key=lambda one: abs(one - value)) if values else value
