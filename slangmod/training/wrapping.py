"""What stands between the objective of one process and that of several."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final

from slangmod.training.step import Hold, Objective


def as_it_is(objective: Objective) -> Objective:
    """One process has all gradients that there are."""
    return objective


@dataclass(frozen=True)
class Wrapping:
    """What makes an objective one whose gradients are the sum of those of all."""

    around: Callable[[Objective], Objective] = as_it_is
    """of each stage: the objective to train with; that of the stage before is over"""
    hold: Hold = nullcontext
    weight: float = 1.0
    """of losses, when they are differentiated: what reducing divides gradients by"""


UNWRAPPED: Final = Wrapping()
"""Of a process that trains alone."""
