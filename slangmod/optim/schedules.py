"""How the learning rate changes: pure functions of the mini-batches done.

A schedule gives the factor on ``train.learning_rate`` for the optimizer step that
comes after ``t`` mini-batches. Each decay counts from the end of the warmup.
"""

import math
from collections.abc import Callable
from typing import Final

from slangmod.settings.sections import Settings, Train

Schedule = Callable[[int], float]
"""mini-batches done before the step -> factor on the peak learning rate"""


def warmed_up(decay: Schedule, warmup: int) -> Schedule:
    """Rise linearly over ``warmup`` mini-batches, then follow ``decay`` from 0 on.

    ``(t + 1) / warmup`` for ``t < warmup``, so that the last of them has factor 1.

    >>> [warmed_up(inverse(0.5), warmup=4)(t) for t in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """

    def factor(t: int) -> float:
        return (t + 1) / warmup if t < warmup else decay(t - warmup)

    return factor


def inverse(power: float) -> Schedule:
    """``n ** -power``, and 1 for ``n = 0``.

    >>> [round(inverse(0.5)(n), 6) for n in (0, 1, 2, 4, 100)]
    [1.0, 1.0, 0.707107, 0.5, 0.1]
    """
    return lambda n: float(max(n, 1)) ** -power


def exponential(gamma: float) -> Schedule:
    """``gamma ** n``.

    >>> [exponential(0.5)(n) for n in range(3)]
    [1.0, 0.5, 0.25]
    """
    return lambda n: gamma**n


def cosine(cooldown: int) -> Schedule:
    """A quarter wave, ``cos(pi / 2 * n / cooldown)``, and exactly 0 from its end on.

    >>> [round(cosine(10)(n), 6) for n in (0, 5, 9, 10, 11)]
    [1.0, 0.707107, 0.156434, 0.0, 0.0]
    """

    def factor(n: int) -> float:
        return math.cos(math.pi / 2 * n / cooldown) if n < cooldown else 0.0

    return factor


SCHEDULES: Final[dict[str, Callable[[Train], Schedule]]] = {
    "inverse": lambda train: inverse(train.power),
    "exponential": lambda train: exponential(train.gamma),
    "cosine": lambda train: cosine(train.cooldown),
}


def build_schedule(settings: Settings) -> Schedule:
    """The schedule that ``[train]`` describes, warmup included."""
    train = settings.train
    return warmed_up(SCHEDULES[train.scaling](train), train.warmup)
