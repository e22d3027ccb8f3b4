"""Everything that changes while training, which is everything a checkpoint holds."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from slangmod.training.stopping import Patience


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


@dataclass
class TrainState:
    """A model on its way: weights, moments, counters, sums, and what is best so far."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    counters: Counters = field(default_factory=Counters)
    patience: Patience = field(default_factory=Patience)
    sums: Tensor = field(default_factory=lambda: torch.zeros(3, dtype=torch.float64))
    """[3] float64, on the device: nats summed over this epoch; nats summed since the
    last regular row; norm of the last step's gradient before clipping"""

    def plain(self) -> dict[str, Any]:
        """Everything but the tensors of model and optimizer, ready for JSON."""
        patience = asdict(self.patience)
        if math.isinf(self.patience.best_loss):
            patience["best_loss"] = None  # JSON has no infinity
        return {
            "counters": asdict(self.counters),
            "patience": patience,
            "sums": self.sums.tolist(),
        }

    def take(self, plain: dict[str, Any]) -> None:
        """Go back to what ``plain()`` once gave; patience keeps its present limit."""
        self.counters = Counters(**plain["counters"])
        patience = dict(plain["patience"], limit=self.patience.limit)
        if patience["best_loss"] is None:
            patience["best_loss"] = math.inf
        self.patience = Patience(**patience)
        self.sums = self.sums.new_tensor(plain["sums"])
