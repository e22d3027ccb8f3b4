"""No loss or gradient that is not finite ever reaches the weights."""

import math
from typing import Any

import torch
from torch import Tensor

from slangmod.errors import RunError
from slangmod.training.step import StepResult


class Guard:
    """Lets an optimizer take a step only if loss and gradient are finite.

    Where the optimizer can decide that on the device (torch's fused ones), nothing
    is read back: the first bad step is remembered there, and it and every later one
    leave the weights alone until ``check`` reads it. Elsewhere the norm is read
    before each step, which costs nothing on a CPU.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        self._optimizer: Any = optimizer
        fused = all(group.get("fused") for group in optimizer.param_groups)
        self.on_device = fused and device.type == "cuda"
        self._bad = torch.zeros(2, dtype=torch.float64, device=device)

    def take_step(self, result: StepResult, step: int, batch: int) -> None:
        """Take optimizer step ``step``, after mini-batch ``batch`` of the run.

        Raises RunError if that is known to be bad.
        """
        if self.on_device:
            finite = result.grad_norm.isfinite() & result.losses.isfinite().all()
            place = self._bad.new_tensor((step, batch))
            first = (self._bad[0] == 0) & ~finite
            self._bad = torch.where(first, place, self._bad)
            self._optimizer.found_inf = (self._bad[0] > 0).float()
        else:
            norm, loss = float(result.grad_norm), float(result.losses.sum())
            if not (math.isfinite(norm) and math.isfinite(loss)):
                raise refusal(step, batch, f"loss {loss}, gradient norm {norm}")
        self._optimizer.step()

    def check(self) -> None:
        """Raise RunError if a step has been bad; waits for the device."""
        if self.on_device:
            self.judge(self._bad)

    @property
    def verdict(self) -> Tensor:
        """[2] float64: first bad step and its mini-batch, zeros if all was well."""
        return self._bad

    @staticmethod
    def judge(verdict: Tensor) -> None:
        """Raise RunError if ``verdict``, once read, names a bad step."""
        step, batch = (int(number) for number in verdict.tolist())
        if step:
            raise refusal(step, batch, "loss or gradient")


def refusal(step: int, batch: int, what: str) -> RunError:
    """The error that ends a run which has diverged."""
    return RunError(
        f"step {step} (mini-batch {batch}): {what} is not finite; it has not reached "
        "the weights, and the last checkpoint is good; a smaller train.learning_rate, "
        "a longer train.warmup or a smaller train.clip_grad may help"
    )
