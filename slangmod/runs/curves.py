"""The curves of a run, ready to be drawn: thinned, smoothed, free of holes."""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from slangmod.runs.directory import RunDir
from slangmod.runs.recorders import EPOCH_COLUMNS, STAGE_COLUMNS, STEP_COLUMNS
from slangmod.runs.series import Series

Numbers = npt.NDArray[np.float64]
Axis = Literal["step", "tokens", "time"]
AXES: dict[Axis, str] = {
    "step": "optimizer steps",
    "tokens": "target tokens",
    "time": "seconds of training",
}

MOST_POINTS = 2000
"""More than that cannot be told apart in a picture."""

LARGEST, SMALLEST = 1e100, 1e-100
"""Sizes of numbers that are drawn: sums and squares of them are finite, and their
differences are more than 0."""

BEYOND = 10
"""Heights of a picture above and below it, beyond which it makes no difference where
a line leads."""

LEAST_SPAN = 1e-9
"""Share of the numbers on an axis below which what they differ by is not shown."""

SMOOTHING = 0.02
"""Share of a run over which the smoothed curve is averaged."""


@dataclass(frozen=True)
class Curve:
    """Points from left to right."""

    x: Numbers
    y: Numbers

    def __len__(self) -> int:
        """Number of points."""
        return len(self.x)

    def thinned(self, points: int = MOST_POINTS) -> "Curve":
        """At most ``points`` points, each the mean of its neighbourhood."""
        if len(self) <= points:
            return self
        starts = np.linspace(0, len(self), points, endpoint=False).astype(int)
        counts = np.diff(np.append(starts, len(self)))
        return Curve(
            np.add.reduceat(self.x, starts) / counts,
            np.add.reduceat(self.y, starts) / counts,
        )

    def clipped(self, right: float, low: float, high: float) -> "Curve":
        """What is right of 0 and left of ``right``, not far below ``low`` or above
        ``high``: for a picture that takes the longer the farther its lines go.
        """
        seen = (self.x >= 0) & (self.x <= right)
        beyond = BEYOND * (high - low)
        return Curve(self.x[seen], self.y[seen].clip(low - beyond, high + beyond))

    def smoothed(self, share: float = SMOOTHING) -> "Curve":
        """The mean over a window of ``share`` of all points around each.

        At the start, where losses fall steeply, the window narrows on both sides.
        """
        half = int(len(self) * share / 2)
        if half == 0:
            return self
        sums = np.concatenate(([0.0], np.cumsum(self.y)))
        places = np.arange(len(self))
        starts = np.maximum(places - half, 0)
        ends = np.minimum(places + np.minimum(places, half) + 1, len(self))
        return Curve(self.x, (sums[ends] - sums[starts]) / (ends - starts))


@dataclass(frozen=True)
class RunCurves:
    """What there is to draw of one run; any curve may be empty."""

    name: str
    train: Curve
    """Training loss as logged, thinned, in nats per token."""
    test: Curve
    """Test loss of each evaluation, in nats per token."""
    rate: Curve
    """Learning rate."""
    best: tuple[float, float] | None
    """Where the test loss was least, and what it was."""
    borders: tuple[float, ...] = ()
    """Where each stage but the first began."""

    @property
    def places(self) -> tuple[Numbers, ...]:
        """Where there is anything to draw."""
        return self.train.x, self.test.x, self.rate.x

    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not (len(self.train) or len(self.test))


class CurveReader:
    """Reads the curves of a run again and again while it grows."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.steps = Series(run.steps, STEP_COLUMNS + STAGE_COLUMNS)
        self.tests = Series(run.epochs, EPOCH_COLUMNS)

    def refresh(self) -> bool:
        """Read what is new; whether there was anything."""
        return self.steps.refresh() | self.tests.refresh()

    def curves(self, axis: Axis) -> RunCurves:
        """The curves over optimizer steps, target tokens or seconds of training."""
        if axis == "time":
            x = seconds_of(self.steps["tokens"], self.steps["tokens_per_second"])
        else:
            x = np.array(self.steps[axis])
        at = self.tests["seconds" if axis == "time" else axis]
        test = curve(at, self.tests["test_loss"])
        least = int(np.argmin(test.y)) if len(test) else 0
        return RunCurves(
            self.run.name,
            curve(x, self.steps["loss"]).thinned(),
            test,
            curve(x, self.steps["learning_rate"]).thinned(),
            (float(test.x[least]), float(test.y[least])) if len(test) else None,
            borders(curve(x, self.steps["stage"])),
        )


def read_curves(run: RunDir, axis: Axis) -> RunCurves:
    """The curves of ``run`` as they are now."""
    reader = CurveReader(run)
    reader.refresh()
    return reader.curves(axis)


def seconds_of(tokens: "array[float]", speed: "array[float]") -> Numbers:
    """Seconds of training at each row of steps.csv.

    A row's ``speed``, tokens_per_second, is over the ``tokens`` since the row before,
    so that the time between them is their quotient.
    """
    new = np.diff(drawable(tokens), prepend=0.0)
    rates = drawable(speed)
    known = np.isfinite(new) & np.isfinite(rates) & (rates > 0) & (new > 0)
    took = np.divide(new, rates, out=np.zeros(len(new)), where=known)
    return np.cumsum(took)


def drawable(numbers: "array[float] | Numbers | Sequence[float]") -> Numbers:
    """``numbers`` that a table may hold, nan in place of those that are too large.

    What is next to nothing becomes 0. No training makes either.
    """
    found = np.array(numbers, dtype=float)
    sizes = np.abs(found)
    found[~(sizes <= LARGEST)] = math.nan
    found[sizes < SMALLEST] = 0.0
    return found


def curve(
    x: "array[float] | Numbers | Sequence[float]", y: "array[float] | Sequence[float]"
) -> Curve:
    """The points of which both numbers can be drawn."""
    places, values = drawable(x), drawable(y)
    good = np.isfinite(places) & np.isfinite(values)
    return Curve(places[good], values[good])


def borders(stages: Curve) -> tuple[float, ...]:
    """Where the number of the stage goes up: the last place of the one before."""
    ends = np.flatnonzero(np.diff(stages.y) > 0)
    return tuple(float(place) for place in stages.x[ends])


def window(curves: Iterable[Curve]) -> tuple[float, float]:
    """Lowest and highest number worth showing of ``curves``, which are never the same.

    The first mini-batches start far above everything that matters later: of a curve
    with many points, only what follows its first 4 % is sure to be shown.
    """
    seen = np.concatenate(
        [curve.y[len(curve) // 25 if len(curve) >= 100 else 0 :] for curve in curves]
        or [np.zeros(0)]
    )
    if not len(seen):
        return 0.0, 1.0
    low, high = float(seen.min()), float(seen.max())
    size = max(abs(low), abs(high)) or 1.0
    margin = 0.05 * (high - low)
    if margin < LEAST_SPAN * size:
        margin = 0.1 * size
    return low - margin, high + margin


def end_of(numbers: Iterable[Numbers]) -> float:
    """The largest of all ``numbers``, for an axis from 0; 1 where none is above."""
    largest = max((float(one.max()) for one in numbers if len(one)), default=0.0)
    return largest if largest > 0 else 1.0


def tick(number: float) -> str:
    """A round count in full: 250, 1.25k, 2M.

    >>> tick(1250)
    '1.25k'
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def round_numbers(low: float, high: float, most: int) -> list[float]:
    """Round numbers from ``low`` to ``high``, which is above, at most ``most`` steps.

    >>> round_numbers(0, 10, 5)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    steps = (power * times for times in (1, 2, 5) if power * times >= rough)
    step = next(steps, power * 10)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{place * step:.12g}") for place in range(first, last + 1)]
