"""Muon for hidden matrices and AdamW for all other weights, as one optimizer."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from slangmod.optim.light import Light, light
from slangmod.optim.spread import MuonOfRows
from slangmod.parallel.shards import Shards


class Together(Light):
    """Several optimizers, each of its own groups, that look and are saved as one.

    Groups and state are those of the whole, and lent to each part when it steps. The
    key ``part`` of a group says which part it belongs to.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = tuple(parts)
        groups = [
            {**group, "part": number}
            for number, part in enumerate(parts)
            for group in part.param_groups
        ]
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of each part; ``closure``, where given, computes the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for number, part in enumerate(self.parts):
            part.param_groups = [g for g in self.param_groups if g["part"] == number]
            part.state = self.state
            part.step()
        return loss


def muon_and_adamw(
    groups: list[dict[str, Any]],
    learning_rate: float,
    momentum: float,
    betas: tuple[float, float],
    eps: float,
    shards: Shards | None = None,
) -> Together:
    """Groups whose ``kind`` is "hidden" by torch's Muon, the others by its AdamW.

    ``shards``: where the weights are spread over several processes.
    """
    hidden = [group for group in groups if group.get("kind") == "hidden"]
    others = [group for group in groups if group.get("kind") != "hidden"]
    parts: list[torch.optim.Optimizer] = []
    if hidden and shards is not None:
        parts.append(MuonOfRows(hidden, learning_rate, momentum, shards))
    elif hidden:
        muon = light(torch.optim.Muon)(
            hidden,
            lr=learning_rate,
            momentum=momentum,
            adjust_lr_fn="match_rms_adamw",
        )
        parts.append(muon)
    if others:
        adamw = light(torch.optim.AdamW)(
            others, lr=learning_rate, betas=betas, eps=eps, fused=True
        )
        parts.append(adamw)
    return Together(parts)
