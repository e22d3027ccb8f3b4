"""One optimizer step, equal to that of one big mini-batch."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from slangmod.data.dataset import Batch
from slangmod.parallel.shards import Shards
from slangmod.training.feed import to_device
from slangmod.training.loss import count_targets
from slangmod.training.portions import portions

Objective = Callable[[Tensor, Tensor], Tensor]
"""inputs [batch, seq], targets [batch, seq] -> sum of losses, scalar"""

Hold = Callable[[], AbstractContextManager[None]]
"""Makes a context in which gradients stay those of this process; at the end of what is
computed outside of it, they are the sum of those of all."""


class StepResult(NamedTuple):
    """What one optimizer step saw; the values stay on the device."""

    losses: Tensor
    """[mini-batches] float64, nats summed over each"""
    tokens: list[int]
    """target tokens of each mini-batch"""
    grad_norm: Tensor
    """scalar, norm of the whole accumulated gradient before clipping"""

    @property
    def finite(self) -> Tensor:
        """Scalar bool on the device: whether the optimizer may take the step."""
        return self.grad_norm.isfinite() & self.losses.isfinite().all()


def accumulate_gradients(
    objective: Objective,
    batches: Sequence[Batch],
    device: torch.device,
    seed_chance: Callable[[int], None],
    rows: int | None = None,
    whole: Sequence[int] | None = None,
    hold: Hold = nullcontext,
    weight: float = 1.0,
) -> tuple[Tensor, list[int]]:
    """Add up the gradient of the mean loss over all target tokens of ``batches``.

    Each loss is a sum, divided by the tokens of the whole step before it is
    differentiated, so that padding weighs nothing. ``seed_chance`` is called with
    the place of each batch; with ``rows`` at a time, of the first of several. What was
    computed at once has one loss, of which each batch gets its tokens' share.
    ``whole``: target tokens of the mini-batches, where ``batches`` are parts of them
    and other processes have the others; gradients are reduced in the last backward,
    which divides them by ``weight``.
    -> losses [mini-batches] float64, target tokens of the whole mini-batches.
    """
    tokens = [count_targets(batch.targets) for batch in batches]
    whole = tokens if whole is None else list(whole)
    share = weight / max(1, sum(whole))
    losses = [torch.zeros((), dtype=torch.float64, device=device) for _ in batches]
    for portion in portions(batches, rows):
        if portion.first:
            seed_chance(portion.places.start)
        with nullcontext() if portion.last else hold():
            loss = objective(*to_device(portion.batch, device))
            (loss * share).backward()  # type: ignore[no-untyped-call]
        together = max(1, sum(tokens[place] for place in portion.places))
        for place in portion.places:
            part = tokens[place] / together if len(portion.places) > 1 else 1.0
            losses[place] = losses[place] + loss.detach().double() * part
    return torch.stack(losses), whole


def left_out(
    batches: Sequence[Batch], device: torch.device, whole: Sequence[int] | None = None
) -> StepResult:
    """What a step saw that only steps over ``batches``: nothing that counts."""
    tokens = [count_targets(batch.targets) for batch in batches]
    tokens = tokens if whole is None else list(whole)
    nothing = torch.full((len(tokens),), math.nan, dtype=torch.float64, device=device)
    return StepResult(nothing, tokens, nothing[0])


def clip_gradients(
    parameters: Sequence[nn.Parameter], limit: float, shards: Shards | None = None
) -> Tensor:
    """Scale all gradients so that their overall 2-norm is at most ``limit``.

    -> the norm before clipping, a scalar on the device. A norm that is not finite
    makes the gradients so, too: whoever calls must then not apply them. ``shards``:
    the own rows, where the parameters are spread over several processes.
    """
    if shards is None:
        return nn.utils.clip_grad_norm_(parameters, limit)
    shards.collect()
    return clip_rows(shards, limit)


def clip_rows(shards: Shards, limit: float) -> Tensor:
    """``clip_gradients`` where each process has some rows of each.

    By ``limit / (norm + 1e-6)`` where that is below 1, as torch does.
    """
    gradients = [p.grad for p in shards.own.values() if p.grad is not None]
    norms = torch.stack([torch.linalg.vector_norm(one) for one in gradients])
    total = shards.team.sum(norms.to(shards.device).double().square().sum())
    norm = total.sqrt().float()
    scale = (limit / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale.to(gradient.device))
    return norm


def set_learning_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the rate of each group to ``factor`` times its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
