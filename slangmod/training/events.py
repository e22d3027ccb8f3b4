"""What happened in training, told in plain numbers.

The trainer makes these values and hands each to its callbacks, which watch and never
steer: nothing in them leads back to the model, and none holds a tensor. All losses
are nats per target token; counts run over the whole life of a run, resumes included.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepDone:
    """One row of steps.csv, every ``cb_freq`` mini-batches and at the very last."""

    step: int
    """Optimizer steps done."""
    epoch: int
    """The epoch under way, counted from 1."""
    batch: int
    """Mini-batches done."""
    tokens: int
    """Target tokens seen."""
    loss: float
    """The training objective per target token since the last row."""
    learning_rate: float | None
    """The rate that the last optimizer step used; None before the first."""
    grad_norm: float | None
    """The norm of its gradient before clipping; None before the first."""
    tokens_per_second: float
    """Target tokens per second of training since the last row."""
    stage: int = 1
    """The stage under way, counted from 1."""


@dataclass(frozen=True, slots=True)
class EpochDone:
    """One row of epochs.csv, at every evaluation."""

    epoch: int
    step: int
    tokens: int
    train_loss: float
    """The training objective over the epoch so far."""
    test_loss: float
    """The cross-entropy, unsmoothed, over all test rows."""
    learning_rate: float
    seconds: float
    """Training time so far, evaluations included."""
    best: bool
    """Whether no evaluation before had a smaller test loss."""
    ema_test_loss: float | None = None
    """The same of the moving average of the weights, where there is one."""
    stage: int = 1
    """The stage under way, counted from 1."""


@dataclass(frozen=True, slots=True)
class TrainingDone:
    """The end of training, whatever ended it."""

    reason: str
    """One of ``training.reasons.WHY``."""
    steps: int
    epochs: int
    best_step: int
    best_test_loss: float
    why: str
    """The reason in plain words."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far training is, after each optimizer step; costs no look at the device."""

    batch: int
    batches: int
    """Mini-batches planned altogether."""
    tokens: int
    seconds: float


Event = StepDone | EpochDone | TrainingDone | Progress

Callback = Callable[[Event], None]


def all_of(*callbacks: Callback) -> Callback:
    """A callback that tells each of ``callbacks``, in their order."""

    def tell(event: Event) -> None:
        for callback in callbacks:
            callback(event)

    return tell


def perplexity(loss: float) -> float:
    """``exp(loss)``, infinite where that is too large for a float."""
    return math.inf if loss > 700 else math.exp(loss)
