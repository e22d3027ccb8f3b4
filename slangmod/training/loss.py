"""The training objective: cross-entropy summed over target tokens, never a mean."""

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional

from slangmod.data.dataset import IGNORE


class LossSum(NamedTuple):
    """A sum of losses and what it was summed over."""

    total: float
    """nats"""
    tokens: int
    """target tokens"""

    @property
    def mean(self) -> float:
        """Nats per target token; nan over none."""
        return self.total / self.tokens if self.tokens else float("nan")


def cross_entropy_sum(
    logits: Tensor, targets: Tensor, label_smoothing: float = 0.0, z_loss: float = 0.0
) -> Tensor:
    """Sum of the cross-entropies over all targets that are not IGNORE, in float32.

    ``logits`` [.., vocab], ``targets`` [..] -> scalar, in nats. With
    label smoothing ``e``, the target distribution is ``1 - e`` on the token and
    ``e / vocab`` on every one (Szegedy et al., 2016). ``z_loss`` adds so many times
    the square of ``logsumexp(logits)`` at each target (Chowdhery et al., 2022).
    """
    logits, targets = logits.flatten(0, -2).float(), targets.flatten()
    total = functional.cross_entropy(
        logits,
        targets,
        ignore_index=IGNORE,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    if not z_loss:
        return total
    log_z = logits.logsumexp(-1)
    # A mask as an index would give a shape that depends on data; compilers dislike it.
    return total + z_loss * log_z.where(targets != IGNORE, 0.0).square().sum()


def count_targets(targets: Tensor) -> int:
    """Number of target tokens of a batch that is still in the host's memory."""
    return int((targets != IGNORE).sum())
