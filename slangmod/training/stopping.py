"""When to stop for want of progress: frozen values, each with one rule."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

CURRENT, AVERAGE = "current", "average"
"""Which weights an evaluation found best: as they are, or their moving average."""


@dataclass(frozen=True)
class StepPatience:
    """A deadline in optimizer steps, put off by significantly better test losses.

    The rule of Theano's tutorials (Bergstra et al., 2010), and of PyCMTensor: a loss
    is significantly better if, multiplied by ``threshold``, it is still smaller than
    the last that was. One at step ``s`` moves the deadline to at least
    ``s * increase``.
    """

    limit: int | None = None
    """optimizer steps; None waits forever"""
    increase: float = 2.0
    threshold: float = 1.003
    reference: float = math.inf
    """the last significantly better test loss, nats per token"""
    reference_step: int = 0
    looked: bool = False
    """whether there has been an evaluation; before that there is no deadline"""

    def after(self, step: int, loss: float) -> "StepPatience":
        """What is known after an evaluation at optimizer step ``step``.

        >>> patience = StepPatience(limit=100)
        >>> for step, loss in ((100, 3.0), (200, 2.5), (300, 2.4), (400, 2.399)):
        ...     patience = patience.after(step, loss)
        >>> patience.deadline
        600
        """
        if loss * self.threshold < self.reference:
            return replace(self, reference=loss, reference_step=step, looked=True)
        return replace(self, looked=True)

    @property
    def deadline(self) -> int | None:
        """The optimizer step at which patience ends, as far as is known now.

        Steps only grow, so the last extension is the longest.
        """
        if self.limit is None:
            return None
        return max(self.limit, math.ceil(self.reference_step * self.increase))

    def exhausted(self, step: int) -> bool:
        """True at the deadline or later; never before the first evaluation."""
        return self.looked and self.deadline is not None and step >= self.deadline

    def recalled(self, plain: dict[str, Any]) -> "StepPatience":
        """With what ``asdict`` once gave; limit, increase and threshold stay."""
        reference = plain["reference"]
        return replace(
            self,
            reference=math.inf if reference is None else reference,
            reference_step=plain["reference_step"],
            looked=plain["looked"],
        )


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
    best_weights: str = CURRENT
    """whose loss that was: CURRENT or AVERAGE"""
    steps: StepPatience = field(default_factory=StepPatience)
    since: int = 0
    """optimizer step of the first evaluation that the others can be compared with"""

    def after(
        self, step: int, epoch: int, loss: float, weights: str = CURRENT
    ) -> "Patience":
        """What is known after an evaluation of the test split.

        >>> patience = Patience(limit=2)
        >>> for epoch, loss in enumerate((3.0, 2.5, 2.6, 2.5), start=1):
        ...     patience = patience.after(10 * epoch, epoch, loss)
        >>> patience.best_step, patience.waited, patience.exhausted
        (20, 2, True)
        """
        steps = self.steps.after(step, loss)
        if loss < self.best_loss:
            best = loss, step, epoch, 0, epoch, weights, steps
            return Patience(self.limit, *best, self.since)
        waited = self.waited + (epoch > self.last_epoch)
        return replace(self, waited=waited, last_epoch=epoch, steps=steps)

    def anew(self, step: int) -> "Patience":
        """With nothing known: evaluations from ``step`` on are of another kind.

        >>> Patience(limit=2).after(10, 1, 3.0).anew(15).after(20, 2, 4.0).best_step
        20
        """
        steps = StepPatience(
            self.steps.limit, self.steps.increase, self.steps.threshold
        )
        return Patience(self.limit, steps=steps, since=step)

    @property
    def exhausted(self) -> bool:
        """True at the end of an epoch that was one too many."""
        return self.limit is not None and self.waited >= self.limit

    def plain(self) -> dict[str, Any]:
        """All of it, ready for JSON, which has no infinity."""
        plain = asdict(self)
        if math.isinf(self.best_loss):
            plain["best_loss"] = None
        if math.isinf(self.steps.reference):
            plain["steps"]["reference"] = None
        return plain

    def recalled(self, plain: dict[str, Any]) -> "Patience":
        """What ``plain()`` once gave, with the limits of now."""
        best_loss = plain["best_loss"]
        return Patience(
            **plain
            | {
                "limit": self.limit,
                "best_loss": math.inf if best_loss is None else best_loss,
                "steps": self.steps.recalled(plain["steps"]),
            }
        )


@dataclass(frozen=True)
class Convergence:
    """Whether training has come to rest: a norm that fell below a threshold."""

    threshold: float | None = None
    """None never stops"""
    kind: str = "gradient"
    """which norm: a name in ``training.convergence.NORMS``"""
    norm: float | None = None
    """at the last evaluation; None before the first"""

    def after(self, norm: float | None) -> "Convergence":
        """What is known after an evaluation that found ``norm``."""
        return replace(self, norm=norm)

    @property
    def reached(self) -> bool:
        """Whether the last evaluation found the norm below the threshold."""
        if self.threshold is None or self.norm is None:
            return False
        return self.norm < self.threshold

    def recalled(self, plain: dict[str, Any]) -> "Convergence":
        """With what ``asdict`` once gave; a norm of another kind says nothing."""
        same = plain["kind"] == self.kind
        return replace(self, norm=plain["norm"] if same else None)
