"""Runs that differ in their seeds alone, and whether two groups of them differ.

Chance is part of every training: of two settings one looks better than the other with
some seeds, and worse with others. Runs of a group tell how much their results spread,
and Welch's test how likely a difference as large as that between two groups would be
if there were none.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from slangmod.runs.comparison import OWN, numbers_of
from slangmod.runs.curves import LARGEST
from slangmod.runs.overview import ENDED, Overview, flat

METRIC = "outcome.best_test_loss"
"""What groups are compared by, in nats per token."""

SIGNIFICANT = 0.05
"""A difference counts if chance alone would make one as large less often than that."""

NO_INFLUENCE = (
    *OWN,
    "seed",
    "threads",
    "log_level",
    "progress",
    "plot",
    "track",
    "samples",
    "chat",
    "checkpoint",
    "sweep",
)
"""Settings, or sections of them, in which runs of a group may differ."""


@dataclass(frozen=True)
class Group:
    """Runs with equal settings, save for their seeds."""

    name: str
    runs: tuple[str, ...]
    values: tuple[float, ...]
    """Of the metric, of the runs that have it and did not diverge."""
    ended: bool
    """Whether all have ended, so that the values are the last word."""

    @property
    def mean(self) -> float | None:
        """None where there is no value."""
        return fmean(self.values) if self.values else None

    @property
    def spread(self) -> float | None:
        """Sample standard deviation; None of fewer than two values."""
        return stdev(self.values) if len(self.values) > 1 else None

    def table(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "name": self.name,
            "runs": list(self.runs),
            "metric": METRIC,
            "mean": self.mean,
            "spread": self.spread,
            "ended": self.ended,
        }


@dataclass(frozen=True)
class Difference:
    """How two groups differ."""

    first: str
    second: str
    by: float
    """Mean of the first less that of the second: below 0, the first is better."""
    p: float | None
    """How likely chance alone makes a difference at least as large; None where a group
    has no spread because it has too few runs."""

    @property
    def exceeds(self) -> bool | None:
        """Whether it is more than seeds explain; None where that is unknown."""
        return None if self.p is None else self.p < SIGNIFICANT

    def sentence(self) -> str:
        """For a person."""
        better, worse = self.first, self.second
        if self.by > 0:
            better, worse = worse, better
        start = f"{better} is {abs(self.by):.4f} better than {worse}: "
        if self.p is None:
            return start + "whether seeds explain that is unknown; repeat both"
        verdict = "more than" if self.exceeds else "no more than"
        return f"{start}{verdict} seeds explain (Welch's test, p = {self.p:.2g})"


def groups_of(runs: Sequence[Overview]) -> list[Group]:
    """All ``runs`` in groups, in the order of their first members."""
    members: dict[str, list[Overview]] = {}
    for run in runs:
        settings = flat(run.settings)
        kept = {key: of for key, of in settings.items() if has_influence(key)}
        # A run whose settings cannot be read is like no other.
        identity = repr(sorted(kept.items())) if settings else f"unknown {run.name}"
        members.setdefault(identity, []).append(run)
    return [group_of(group) for group in members.values()]


def group_of(runs: Sequence[Overview]) -> Group:
    """One group; what all names have before a last number is its name."""
    stems = {re.sub(r"-\d+$", "", run.name) for run in runs}
    named_alike = len(stems) == 1 and len(runs) > 1
    name = stems.pop() if named_alike else ", ".join(run.name for run in runs)
    values = (numbers_of(run)[METRIC] for run in runs)
    return Group(
        name,
        tuple(run.name for run in runs),
        tuple(
            float(value)
            for value in values
            if isinstance(value, int | float) and abs(value) <= LARGEST
        ),
        all(run.state == ENDED for run in runs),
    )


def has_influence(key: str) -> bool:
    """Whether a setting decides what a run learns, apart from chance."""
    return key not in NO_INFLUENCE and key.partition(".")[0] not in NO_INFLUENCE


def differences(groups: Sequence[Group]) -> list[Difference]:
    """Each group against each that follows it, where both have values."""
    return [
        Difference(one.name, two.name, one.mean - two.mean, welch(one, two))
        for place, one in enumerate(groups)
        for two in groups[place + 1 :]
        if one.mean is not None and two.mean is not None
    ]


def welch(one: Group, two: Group) -> float | None:
    """Two-sided p of Welch's t-test; None where a group has fewer than two values.

    t = difference of means / sqrt(a + b), where a and b are variance / number of each
    group; (a + b)**2 / (a**2 / (n - 1) + b**2 / (m - 1)) degrees of freedom (B. L.
    Welch, "The generalization of Student's problem", 1947).
    """
    if one.spread is None or two.spread is None:
        return None
    a, b = one.spread**2 / len(one.values), two.spread**2 / len(two.values)
    gap = fmean(one.values) - fmean(two.values)
    if a + b == 0:
        return 1.0 if gap == 0 else 0.0
    share_a, share_b = a / (a + b), b / (a + b)  # whose squares cannot vanish
    freedom = 1 / (
        share_a**2 / (len(one.values) - 1) + share_b**2 / (len(two.values) - 1)
    )
    return student(gap / math.sqrt(a + b), freedom)


def student(t: float, freedom: float) -> float:
    """How likely Student's t is at least as far from 0 as ``t``.

    That is the regularised incomplete beta function at freedom / (freedom + t**2) with
    freedom / 2 and 1 / 2 (Abramowitz and Stegun, 26.7.1).

    >>> round(student(2.228, 10), 4)
    0.05
    """
    x = freedom / (freedom + t * t)
    a, b = freedom / 2, 0.5
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    front = math.exp(
        math.lgamma(a + b)
        - math.lgamma(a)
        - math.lgamma(b)
        + a * math.log(x)
        + b * math.log1p(-x)
    )
    if x < (a + 1) / (a + b + 2):
        return front * fraction(a, b, x) / a
    return 1 - front * fraction(b, a, 1 - x) / b


def fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function (ibidem, 26.5.8)."""
    tail = 0.0
    for m in range(200, 0, -1):  # from the innermost term, which is next to nothing
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        tail = even / (1 + odd / (1 + tail))
    first = -(a + b) * x / (a + 1)
    return 1 / (1 + first / (1 + tail))
