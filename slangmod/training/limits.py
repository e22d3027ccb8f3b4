"""When a run ends, and how it did."""

from dataclasses import dataclass

from slangmod.training.stages import StageEnd
from slangmod.training.stopping import Patience


@dataclass(frozen=True)
class Limits:
    """When a run has had enough; the stages of one that has them say when, too."""

    max_epochs: int | None
    max_steps: int | None = None
    max_seconds: float | None = None
    stage: StageEnd | None = None


@dataclass(frozen=True)
class Outcome:
    """How training ended."""

    reason: str
    """one of ``training.reasons.WHY``, interrupted, or next_stage"""
    patience: Patience
    """what all evaluations have shown, the last included"""
    why: str = ""
    """the reason in plain words; empty where it was interrupted"""


def passed(freq: int, before: int, now: int) -> bool:
    """Whether a multiple of ``freq`` lies in ``before + 1 .. now``."""
    return now // freq > before // freq
