"""How the learning rate changes: pure functions of the mini-batches done.

A schedule gives the factor on ``train.learning_rate`` for the optimizer step that
comes after ``t`` mini-batches. Each shape counts ``n`` from the end of the warmup, in
mini-batches or, with ``schedule_unit = "epoch"``, in whole epochs.
"""

import math
from collections.abc import Callable
from typing import Final

from slangmod.settings.horizon import Horizon
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


def floored(shape: Schedule, least: float) -> Schedule:
    """``shape``, but never below ``least``."""
    return lambda n: max(least, shape(n))


def counted_in(shape: Schedule, unit: int) -> Schedule:
    """``shape`` of whole units of ``unit`` mini-batches."""
    return lambda n: shape(n // unit)


def constant() -> Schedule:
    """1 for ever.

    >>> constant()(10**6)
    1.0
    """
    return lambda _: 1.0


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


def annealing(cooldown: int, least: float = 0.0) -> Schedule:
    """Half a wave from 1 to ``least``, and there it stays.

    ``least + (1 - least) * (1 + cos(pi * n / cooldown)) / 2`` (Loshchilov and Hutter,
    "SGDR", 2017, without restarts).

    >>> [round(annealing(4, 0.1)(n), 6) for n in range(6)]
    [1.0, 0.868198, 0.55, 0.231802, 0.1, 0.1]
    """

    def factor(n: int) -> float:
        wave = (1 + math.cos(math.pi * min(n, cooldown) / cooldown)) / 2
        return least + (1 - least) * wave

    return factor


def restarts(cycle: int, least: float = 0.0) -> Schedule:
    """``annealing`` over ``cycle``, again and again (SGDR, 2017).

    >>> [round(restarts(2)(n), 6) for n in range(5)]
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """
    wave = annealing(cycle, least)
    return lambda n: wave(n % cycle)


def linear(cooldown: int, least: float = 0.0) -> Schedule:
    """A straight line from 1 to ``least``, and there it stays.

    >>> [linear(4, 0.5)(n) for n in range(6)]
    [1.0, 0.875, 0.75, 0.625, 0.5, 0.5]
    """
    return lambda n: 1 - (1 - least) * min(n, cooldown) / cooldown


def polynomial(cooldown: int, power: float) -> Schedule:
    """``(1 - n / cooldown) ** power``, and 0 from the end of the cooldown on.

    >>> [polynomial(4, 2)(n) for n in range(6)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """
    return lambda n: (1 - n / cooldown) ** power if n < cooldown else 0.0


def step(every: int, by: float) -> Schedule:
    """Multiplied by ``by`` after each ``every``.

    >>> [step(2, 0.5)(n) for n in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """
    return lambda n: float(by ** (n // every))


def cyclic(
    cycle: int, top: float, shrink: Callable[[int], float] = lambda _: 1.0
) -> Schedule:
    """Up from 1 to ``top`` and down again in each full ``cycle`` (Smith, 2017).

    ``shrink`` scales what is added to 1 in cycle number 1, 2, ...

    >>> [cyclic(4, 3.0)(n) for n in range(6)]
    [1.0, 2.0, 3.0, 2.0, 1.0, 2.0]
    """

    def factor(n: int) -> float:
        number = 1 + n // cycle
        x = abs(2 * n / cycle - 2 * number + 1)
        return 1 + (top - 1) * max(0.0, 1 - x) * shrink(number)

    return factor


def triangular(cycle: int, top: float) -> Schedule:
    """``cyclic`` whose height is halved from cycle to cycle.

    >>> [triangular(2, 3.0)(n) for n in (1, 3, 5)]
    [3.0, 2.0, 1.5]
    """
    return cyclic(cycle, top, lambda number: 2.0 ** (1 - number))


def exp_range(cycle: int, top: float, gamma: float) -> Schedule:
    """``cyclic`` whose height is scaled by ``gamma`` to the number of the cycle.

    >>> [exp_range(2, 3.0, 0.5)(n) for n in (1, 3, 5)]
    [2.0, 1.5, 1.25]
    """
    return cyclic(cycle, top, lambda number: gamma**number)


def wsd(stable: int, decay: int, least: float = 0.0) -> Schedule:
    """Warmup, stable, decay: 1 for ``stable``, then linear over ``decay``.

    Hu et al., "MiniCPM", 2024.

    >>> [wsd(2, 4)(n) for n in range(8)]
    [1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """
    line = linear(decay, least)
    return lambda n: line(max(0, n - stable))


class Spans:
    """The settings of a schedule in the unit it counts in, with what is planned.

    ``unit`` is how many mini-batches one count of the schedule takes.
    """

    def __init__(self, train: Train, horizon: Horizon) -> None:
        self.train, self.horizon = train, horizon
        self.least = train.min_learning_rate / train.learning_rate
        self.top = (
            10.0
            if train.max_learning_rate is None
            else train.max_learning_rate / train.learning_rate
        )
        self.warmup = horizon.batches_of(train.warmup, "train.warmup")
        self.unit = 1
        if train.schedule_unit == "epoch":
            self.unit = horizon.in_epoch('train.schedule_unit = "epoch"')

    def of(self, name: str) -> int:
        """The duration ``train.NAME``, in counts of the schedule."""
        span = getattr(self.train, name)
        if isinstance(span, int):
            return span
        return max(1, self.horizon.batches_of(span, f"train.{name}") // self.unit)

    def stable_and_decay(self) -> tuple[int, int]:
        """How wsd parts what comes after the warmup, in counts of the schedule."""
        planned = self.horizon.planned('train.scaling = "wsd"')
        left = max(1, (planned - self.warmup) // self.unit)
        decay = round(self.train.decay * planned / self.unit)
        decay = max(1, min(left, decay))
        return left - decay, decay


SCHEDULES: Final[dict[str, Callable[[Spans], Schedule]]] = {
    "inverse": lambda spans: inverse(spans.train.power),
    "exponential": lambda spans: exponential(spans.train.gamma),
    "cosine": lambda spans: cosine(spans.of("cooldown")),
    "annealing": lambda spans: annealing(spans.of("cooldown"), spans.least),
    "linear": lambda spans: linear(spans.of("cooldown"), spans.least),
    "constant": lambda _: constant(),
    "step": lambda spans: step(spans.of("step_every"), spans.train.step_factor),
    "polynomial": lambda spans: polynomial(
        spans.of("cooldown"), spans.train.poly_power
    ),
    "cyclic": lambda spans: cyclic(spans.of("cycle_steps"), spans.top),
    "triangular": lambda spans: triangular(spans.of("cycle_steps"), spans.top),
    "exp_range": lambda spans: exp_range(
        spans.of("cycle_steps"), spans.top, spans.train.cycle_gamma
    ),
    "wsd": lambda spans: wsd(*spans.stable_and_decay(), spans.least),
    "restarts": lambda spans: restarts(spans.of("cycle_steps"), spans.least),
}


def build_schedule(settings: Settings, horizon: Horizon | None = None) -> Schedule:
    """The schedule that ``[train]`` describes, warmup and floor included.

    ``horizon`` says how long training is planned to be; without it, it is known only
    where ``max_steps`` is set. Raises SettingsError where more must be known.
    """
    train = settings.train
    spans = Spans(train, horizon or horizon_of(settings))
    shape = counted_in(SCHEDULES[train.scaling](spans), spans.unit)
    return warmed_up(floored(shape, spans.least), spans.warmup)


def horizon_of(settings: Settings) -> Horizon:
    """What settings alone say about how long training will be."""
    train = settings.train
    planned = None if train.max_steps is None else train.max_steps * train.step_freq
    return Horizon(train.batch_size * settings.data.seq_len, None, planned)
