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
    loss: float | None
    """The training objective per target token since the last row, over the steps that
    were taken; None where all were left out."""
    learning_rate: float | None
    """The rate that the last optimizer step used; None before the first."""
    grad_norm: float | None
    """The norm of its gradient before clipping; None before the first, and where it was
    left out."""
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
    train_loss: float | None
    """The training objective over the epoch so far; None if all of it was left out."""
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


@dataclass(frozen=True, slots=True)
class BadStep:
    """An optimizer step whose losses or gradient are not finite; it was not taken."""

    step: int
    """Counted from 1."""
    epoch: int
    begin: int
    """Mini-batches done before it."""
    tokens: tuple[int, ...]
    """Target tokens of each of its mini-batches."""
    losses: tuple[float, ...]
    """Nats summed over each."""
    grad_norm: float
    """Of the whole step, before clipping."""
    learning_rate: float
    stage: int
    in_a_row: int
    """Bad steps up to this one, it included, with none between them that was taken."""
    allowed: int
    """So many in a row are left out; one more ends the run."""

    @property
    def batch(self) -> int:
        """Mini-batches done after it."""
        return self.begin + len(self.tokens)

    @property
    def loss(self) -> float:
        """The training objective per target token of this step."""
        return sum(self.losses) / max(1, sum(self.tokens))


@dataclass(frozen=True, slots=True)
class Spike:
    """An optimizer step whose loss is far above those before it."""

    step: int
    batch: int
    """Mini-batches done after it."""
    loss: float
    """The training objective per target token of this step."""
    mean: float
    """Of the losses that it was compared with."""
    deviation: float
    """Their standard deviation."""
    limit: float
    """What a spike is above."""
    stage: int


@dataclass(frozen=True, slots=True)
class Rewind:
    """Training went back from a spike and steps over the mini-batches since then."""

    step: int
    """Of the spike."""
    checkpoint: int
    """Optimizer steps done in the checkpoint gone back to."""
    first_batch: int
    """Mini-batches done there: the first that is stepped over, counted from 0."""
    batch: int
    """The first that is learnt from again."""
    number: int
    """How often this run has gone back."""


Event = StepDone | EpochDone | TrainingDone | Progress | BadStep | Spike | Rewind

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
