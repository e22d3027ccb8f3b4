"""How training has gone of late: what a guard must remember to judge the next step."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple

LEAST_RISE: Final = 0.2
"""A spike is at least this share above the mean, however little losses scatter."""


@dataclass(frozen=True)
class Rules:
    """What a guard does where training goes wrong."""

    max_skips: int = 0
    """optimizer steps in a row that may be left out because they are not finite"""
    on_spike: str = "report"
    """ignore, report, or rewind"""
    sigma: float = 6.0
    """how far above the mean a spike is, in standard deviations"""
    window: int = 128
    """losses that one is compared with"""


class Level(NamedTuple):
    """What losses of late are like, in nats per target token."""

    mean: float
    deviation: float
    """standard deviation, of all of them"""

    def limit(self, sigma: float) -> float:
        """What a spike is above: ``mean + max(sigma * deviation, mean / 5)``.

        >>> Level(mean=2.0, deviation=0.1).limit(sigma=6.0)
        2.6
        """
        return self.mean + max(sigma * self.deviation, LEAST_RISE * abs(self.mean))


def level_of(losses: Sequence[float]) -> Level:
    """Mean and standard deviation of ``losses``; the same however they came about.

    >>> level_of([1.0, 3.0])
    Level(mean=2.0, deviation=1.0)
    """
    mean = math.fsum(losses) / len(losses)
    squares = ((loss - mean) ** 2 for loss in losses)
    return Level(mean, math.sqrt(math.fsum(squares) / len(losses)))


class Refuge(NamedTuple):
    """A checkpoint that training may go back to."""

    step: int
    best_step: int
    """the best checkpoint as far as it knows, which it needs, too"""


@dataclass
class Course:
    """The part of a TrainState that a guard goes by."""

    losses: list[float] = field(default_factory=list)
    """of the last steps that were taken, oldest first; spikes are not among them"""
    above: int = 0
    """spikes in a row up to the last step"""
    bad_in_a_row: int = 0
    """steps left out in a row, up to the last, because they were not finite"""
    skipped: int = 0
    """steps left out for that, in all"""
    spikes: int = 0
    """spikes in all, those in a row counted once"""
    rewinds: int = 0
    """how often training has gone back"""
    resume_batch: int = 0
    """mini-batches of the run before this one are stepped over, not learnt from"""
    refuges: list[Refuge] = field(default_factory=lambda: [Refuge(0, 0)])
    """the last two checkpoints that were due, the older first"""

    def enter(self, loss: float, rules: Rules) -> Level | None:
        """Enter the loss of a step; -> what it was held against, where a spike begins.

        Spikes are kept out of what later losses are held against. When as many have
        come in a row as there are losses to compare with, that is how losses are now:
        the comparison begins anew.
        """
        level = level_of(self.losses) if len(self.losses) >= rules.window else None
        if level is None or loss <= level.limit(rules.sigma):
            self.above = 0
            self.losses.append(loss)
            del self.losses[: -rules.window]
            return None
        self.above += 1
        first = self.above == 1
        self.spikes += first
        if self.above >= rules.window:
            self.begin_stage()
        return level if first else None

    def begin_stage(self) -> None:
        """Forget the losses: what follows is of other rows, or of another task."""
        self.losses, self.above = [], 0

    def take_refuge(self, step: int, best_step: int) -> None:
        """Remember that the checkpoint of ``step`` is due and about to be written.

        Only such are gone back to: one that a signal asked for would make the run
        depend on when it was interrupted.
        """
        self.refuges = [*self.refuges, Refuge(step, best_step)][-2:]

    def refuges_before(self, step: int) -> list[Refuge]:
        """Those whose weights were seen to be good before a spike at ``step``.

        The newest first. The loss of a step is that of the weights before it, so a
        checkpoint is good if the step after it was no spike.
        """
        return [one for one in reversed(self.refuges) if one.step < step - 1]

    def plain(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return asdict(self)

    @classmethod
    def of(cls, plain: dict[str, Any] | None) -> "Course":
        """What ``plain()`` once gave; None, where none was kept, knows no refuge."""
        if plain is None:
            return cls(refuges=[])
        refuges = [Refuge(*one) for one in plain["refuges"]]
        losses = [float(loss) for loss in plain["losses"]]
        return cls(**plain | {"refuges": refuges, "losses": losses})
