"""What may be tried for one setting: one of some values, or any of an interval."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from slangmod.settings.literals import brief

MOST = 10_000
"""Values of a range, and of a grid."""


class GrammarError(ValueError):
    """A text does not say what to try; the message says why."""


@dataclass(frozen=True)
class Choice:
    """One of ``values``."""

    values: tuple[Any, ...]

    def ends(self) -> tuple[Any, ...]:
        """The values that have to be possible: all of them."""
        return self.values

    @property
    def count(self) -> int:
        """How many values there are."""
        return len(self.values)

    def grid(self) -> tuple[Any, ...]:
        """All values."""
        return self.values


@dataclass(frozen=True)
class Interval:
    """A number from ``low`` to ``high``, both included.

    ``step``: only low, low + step, ...; ``whole``: only whole numbers; ``log``: evenly
    on a logarithmic scale.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def ends(self) -> tuple[float, ...]:
        """The values that have to be possible."""
        return (self.low, self.high) if self.low != self.high else (self.low,)

    @property
    def count(self) -> int | None:
        """How many values there are; None without steps between them."""
        if self.low == self.high:
            return 1
        step = 1 if self.whole and self.step is None else self.step
        if step is None:
            return None
        return int((exact(self.high) - exact(self.low)) / exact(step)) + 1

    def grid(self) -> tuple[float, ...] | None:
        """All values where there are steps between them; None where there are none.

        In decimal arithmetic, so that 0.1 + 2 * 0.1 is 0.3.
        """
        if self.count is None:
            return None
        step = exact(self.step or 1)
        values = (exact(self.low) + number * step for number in range(self.count))
        return tuple(int(value) if self.whole else float(value) for value in values)


Dimension = Choice | Interval


def whole(interval: Interval) -> Interval:
    """The same, of whole numbers. Raises GrammarError where ends or step are not."""
    numbers = [interval.low, interval.high]
    numbers += [] if interval.step is None else [interval.step]
    for number in numbers:
        if number != int(number):
            raise GrammarError(f"{brief(number)}: must be a whole number")
    return replace(
        interval,
        low=int(interval.low),
        high=int(interval.high),
        step=None if interval.step is None else int(interval.step),
        whole=True,
    )


def exact(number: float) -> Decimal:
    """The number as it is written in the fewest digits.

    >>> exact(0.1) * 3
    Decimal('0.3')
    """
    return Decimal(repr(number))
