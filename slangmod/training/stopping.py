"""When to stop for want of progress: a frozen value and one rule."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Patience:
    """What evaluations have shown so far, and how long to wait for better.

    An epoch is better if any of its evaluations is. ``waited`` counts the epochs
    since the best one that were evaluated and were not better.
    """

    limit: int | None = None
    """epochs; None waits forever"""
    best_loss: float = math.inf
    """nats per token"""
    best_step: int = 0
    best_epoch: int = 0
    waited: int = 0
    last_epoch: int = 0

    def after(self, step: int, epoch: int, loss: float) -> "Patience":
        """What is known after an evaluation of the test split.

        >>> patience = Patience(limit=2)
        >>> for epoch, loss in enumerate((3.0, 2.5, 2.6, 2.5), start=1):
        ...     patience = patience.after(10 * epoch, epoch, loss)
        >>> patience.best_step, patience.waited, patience.exhausted
        (20, 2, True)
        """
        if loss < self.best_loss:
            return Patience(self.limit, loss, step, epoch, 0, epoch)
        new = epoch > self.last_epoch
        return replace(self, waited=self.waited + new, last_epoch=epoch)

    @property
    def exhausted(self) -> bool:
        """True at the end of an epoch that was one too many."""
        return self.limit is not None and self.waited >= self.limit
