"""What the time of a run goes into."""

from collections.abc import Mapping
from typing import Any, Final

DATA, COMPUTE, OPTIMIZER, EVALUATION, CHECKPOINT, LOGGING, REST = PARTS = (
    "data",
    "forward_backward",
    "optimizer",
    "evaluation",
    "checkpoint",
    "logging",
    "rest",
)
"""Waiting for rows; loss and gradients; clipping, the step itself, averaging; looking
at the test split; saving; tables, bar, samples and trackers; all else."""

LEARNING: Final = (COMPUTE, OPTIMIZER)
"""The parts that a model learns by."""

Seconds = dict[str, float]
"""Of each of PARTS."""


def no_seconds() -> Seconds:
    """Nothing of each."""
    return dict.fromkeys(PARTS, 0.0)


def seconds_of(plain: Mapping[str, Any] | None) -> Seconds:
    """What a checkpoint holds; ValueError if it is not. None, of before: nothing."""
    if plain is None:
        return no_seconds()
    for part, seconds in plain.items():
        if part not in PARTS or type(seconds) not in (int, float) or not seconds >= 0:
            raise ValueError(f"times: {part} = {seconds!r} is no time")
    return no_seconds() | {part: float(seconds) for part, seconds in plain.items()}
