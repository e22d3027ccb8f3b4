"""Everything that changes while training, which is everything a checkpoint holds."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from slangmod.parallel.shards import device_of
from slangmod.settings.sections import Settings, Train
from slangmod.training.copies import Average, Weights, copy_weights
from slangmod.training.course import Course
from slangmod.training.plain import SUMS
from slangmod.training.stopping import Convergence, Patience, StepPatience
from slangmod.training.times import Seconds, no_seconds, seconds_of

AVERAGE_FILE, EVALUATED_FILE = "average.safetensors", "evaluated.safetensors"
"""Files of a checkpoint with second sets of weights, where such are kept."""


@dataclass
class Counters:
    """How far a run has come; plain numbers, kept to the last bit in JSON."""

    step: int = 0
    """optimizer steps done"""
    batch: int = 0
    """mini-batches done"""
    epoch: int = 0
    """epoch of the last mini-batch done, from 1"""
    tokens: int = 0
    """target tokens seen"""
    seconds: float = 0.0
    """time spent training, evaluations and checkpoints included"""
    epoch_tokens: int = 0
    """target tokens seen in this epoch"""
    row_tokens: int = 0
    """target tokens seen since the last regular row of steps.csv"""
    logged_batch: int = 0
    """mini-batch of the last regular row of steps.csv"""
    evaluated_batch: int = 0
    """mini-batch of the last evaluation that was due"""
    evaluated_step: int = 0
    """optimizer step of that evaluation"""
    saved_batch: int = 0
    """mini-batch of the last checkpoint that was due"""
    learning_rate: float | None = None
    """of the last optimizer step; None before the first"""
    stage: int = 1
    """the stage under way, from 1; a run without stages is one"""
    stage_batch: int = 0
    """mini-batches done when it began"""
    stage_step: int = 0
    """optimizer steps done when it began"""
    stage_epoch: int = 0
    """epochs begun when it began; its own first is the next"""
    text_batch: int = 0
    """mini-batches done when the training text became another; 0 where it never did"""
    text_epoch: int = 0
    """epochs begun then; the first of the other text is the next"""

    def take_other_text(self) -> None:
        """From here on the training text is another, whose first epoch is the next."""
        self.text_batch, self.text_epoch = self.batch, self.epoch

    def rows_begun(self) -> tuple[int, int]:
        """Mini-batches done and epochs begun when the rows under way began.

        They are those of the stage, or of the text if that came later.
        """
        stage = self.stage_batch, self.stage_epoch
        return max(stage, (self.text_batch, self.text_epoch))


@dataclass
class TrainState:
    """A model on its way: weights, moments, counters, sums, and what is best so far."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    counters: Counters = field(default_factory=Counters)
    patience: Patience = field(default_factory=Patience)
    sums: Tensor = field(default_factory=lambda: no_sums(torch.device("cpu")))
    """[6] float64, on the device: nats summed over this epoch; nats summed since the
    last regular row; norm of the last gradient, before clipping, that a step was taken
    along; target tokens of steps left out in this epoch; of those since the last
    regular row; 1 if the last step was left out"""
    convergence: Convergence = field(default_factory=Convergence)
    average: Average | None = None
    """of the weights, where ``train.ema`` asks for it"""
    evaluated: Weights | None = None
    """those of the last evaluation that was due, where convergence is judged by them"""
    course: Course = field(default_factory=Course)
    """how losses have gone of late, and where training may go back to"""
    times: Seconds = field(default_factory=no_seconds)
    """what the seconds of the counters went into"""
    untried: Path | None = None
    """the checkpoint whose moments no step has been taken with so far"""

    def copies(self) -> dict[str, Weights]:
        """The second sets of weights that are kept, by the name of their file."""
        copies = {} if self.average is None else {AVERAGE_FILE: self.average.weights}
        return (
            copies
            if self.evaluated is None
            else {**copies, EVALUATED_FILE: self.evaluated}
        )

    def plain(self) -> dict[str, Any]:
        """Everything but the tensors of model and optimizer, ready for JSON."""
        return {
            "counters": asdict(self.counters),
            "patience": self.patience.plain(),
            "convergence": asdict(self.convergence),
            "sums": self.sums.tolist(),
            "course": self.course.plain(),
            "times": dict(self.times),
        }

    def take(self, plain: dict[str, Any]) -> None:
        """Go back to what ``plain()`` once gave; limits stay those of now."""
        self.counters = Counters(**plain["counters"])
        self.patience = self.patience.recalled(plain["patience"])
        self.convergence = self.convergence.recalled(plain["convergence"])
        self.course = Course.of(plain.get("course"))
        self.times = seconds_of(plain.get("times"))
        self.sums = no_sums(self.sums.device)
        kept = plain["sums"]
        self.sums[: len(kept)] = self.sums.new_tensor(kept)


def build_state(
    settings: Settings, model: nn.Module, optimizer: torch.optim.Optimizer
) -> TrainState:
    """The state of a training that begins with ``model`` as it is now."""
    train = settings.train
    device = device_of(model)
    return TrainState(
        model,
        optimizer,
        patience=patience_of(train),
        sums=no_sums(device),
        convergence=Convergence(train.convergence_threshold, train.convergence_norm),
        average=None if train.ema is None else Average.of(train.ema, model),
        evaluated=copy_weights(model) if judges_updates(train) else None,
    )


def no_sums(device: torch.device) -> Tensor:
    """``TrainState.sums`` of a run that has not begun."""
    return torch.zeros(SUMS, dtype=torch.float64, device=device)


def patience_of(train: Train) -> Patience:
    """How long to wait for a better test loss, in epochs and in optimizer steps."""
    steps = StepPatience(
        train.patience_steps, train.patience_increase, train.validation_threshold
    )
    return Patience(train.patience, steps=steps)


def judges_updates(train: Train) -> bool:
    """Whether training may end because weights have come to rest."""
    return (
        train.convergence_threshold is not None and train.convergence_norm == "update"
    )
