"""Values as shares between 0 and 1, for those who choose by geometry."""

from math import exp, log
from typing import Any

from slangmod.search.dimensions import Dimension, Interval


def value_of(dimension: Dimension, share: float) -> Any:
    """The value at ``share`` of the way, from 0 to 1.

    Each value of a choice, of steps, and of whole numbers has an equal part of the
    way, or one that is equal on the logarithmic scale.
    """
    values = discrete(dimension)
    if values is not None:
        return values[min(int(share * len(values)), len(values) - 1)]
    assert isinstance(dimension, Interval)  # a choice has values
    low, high = _ends(dimension)
    place = low + share * (high - low)
    value = exp(place) if dimension.log else place
    value = round(value) if dimension.whole else value
    return min(max(value, dimension.low), dimension.high)


def share_of(dimension: Dimension, value: Any) -> float:
    """Where ``value`` lies, from 0 to 1: in the middle of its part of the way."""
    values = discrete(dimension)
    if values is not None:
        return (values.index(value) + 0.5) / len(values)
    assert isinstance(dimension, Interval)
    low, high = _ends(dimension)
    place = log(value) if dimension.log else value
    return (place - low) / (high - low) if high > low else 0.5


def discrete(dimension: Dimension) -> tuple[Any, ...] | None:
    """All values where they are few and equally likely; None for other intervals."""
    if isinstance(dimension, Interval) and dimension.step is None:
        return None
    return dimension.grid()


def _ends(interval: Interval) -> tuple[float, float]:
    """Both ends on the scale of the interval, with room for rounding."""
    half = 0.5 if interval.whole else 0.0
    low, high = interval.low - half, interval.high + half
    return (log(low), log(high)) if interval.log else (float(low), float(high))
