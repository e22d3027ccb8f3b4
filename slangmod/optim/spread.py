"""Optimizers of weights that are spread over several processes, rows by rows.

Most rules change each number by itself, and so do with rows what they do with the
whole. These two look at whole matrices.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn

from slangmod.optim.light import Light, light
from slangmod.parallel.shards import Shards, rows_of

LEAST: Final = 2.0**-23
"""The precision of float32; a mean of squares counts as no less."""


class OfRows(Light):
    """What both share: the weights that have a gradient, and how large they are."""

    take: Callable[[], None]
    """changes all of them"""

    def __init__(
        self, params: Iterable[Any], options: dict[str, Any], shards: Shards
    ) -> None:
        self.team = shards.team
        self.heights: dict[Tensor, int] = {
            rows: shards.shapes[name][0] for name, rows in shards.own.items()
        }
        """rows of the whole weights"""
        super().__init__(params, options)

    def todo(self) -> list[tuple[dict[str, Any], Tensor, Tensor]]:
        """Group, own rows and gradient of each weight that has one."""
        return [
            (group, p, p.grad)
            for group in self.param_groups
            for p in group["params"]
            if p.grad is not None
        ]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; ``closure``, where given, computes loss and gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.take()
        return loss


class AdafactorOfRows(OfRows):
    """torch's Adafactor, whose sums over rows are sums over those of all processes.

    Shazeer and Stern, 2018, in the form and with the defaults of torch. With g [n, m]
    the gradient, R [n, 1] and C [1, m] its mean squares over columns and over rows,
    averaged with weight t**-0.8: ``u = g / sqrt(R C / mean(R))``,
    ``w -= max(0.001, rms(w)) min(rate, t**-0.5) u / max(1, rms(u))``.
    """

    of_the_whole = ("col_var",)
    """What every process has all of."""

    def __init__(self, params: Iterable[Any], lr: float, shards: Shards) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": 0.0}, shards)

    def take(self) -> None:
        """Two small sums over all processes: before the updates are known, and of them.

        Updates are computed twice, so that never more than one is held.
        """
        todo = self.todo()
        if not todo:
            return
        sums = self.summed([self.learnt(p, g) for _, p, g in todo])
        means = [
            self.averaged(p, one) for (_, p, _), one in zip(todo, sums, strict=True)
        ]
        squares = self.summed(
            [
                self.update(p, g, mean).square().sum().view(1)
                for (_, p, g), mean in zip(todo, means, strict=True)
            ]
        )
        for (group, p, g), mean, total, square in zip(
            todo, means, sums, squares, strict=True
        ):
            count = self.heights[p] * math.prod(p.shape[1:])
            rate = min(group["lr"], float(self.state[p]["step"]) ** -0.5)
            scale = max(1e-3, math.sqrt(float(total[0]) / count)) * rate
            large = max(1.0, math.sqrt(float(square) / count))
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(self.update(p, g, mean), alpha=-scale / large)

    def summed(self, parts: Sequence[Tensor]) -> Sequence[Tensor]:
        """Vectors, each summed over all processes, in one go."""
        total = self.team.sum(torch.cat(list(parts)))
        return torch.split(total, [len(part) for part in parts])

    def learnt(self, p: Tensor, g: Tensor) -> Tensor:
        """Enter the own rows; -> their sums: of w squared, R, and g squared [m]."""
        state = self.remembered(p)
        state["step"] += 1
        square = p.square().sum().view(1)
        if p.ndim == 1:
            state["variance"].lerp_(g.square(), self.share(p))
            return square
        rows = torch.linalg.vector_norm(g, dim=-1, keepdim=True).square_()
        state["row_var"].lerp_(rows.div_(g.shape[-1]), self.share(p))
        columns = torch.linalg.vector_norm(g, dim=-2).square_()
        return torch.cat((square, state["row_var"].sum().view(1), columns))

    def averaged(self, p: Tensor, sums: Tensor) -> Tensor:
        """Enter what all rows sum up to; -> mean(R), scalar."""
        if p.ndim == 1:
            return sums[0]  # of no use there
        columns = sums[2:].unsqueeze(0) / self.heights[p]
        self.state[p]["col_var"].lerp_(columns, self.share(p))
        return sums[1] / self.heights[p]

    def update(self, p: Tensor, g: Tensor, mean: Tensor) -> Tensor:
        """u of the own rows."""
        state: dict[str, Tensor] = self.state[p]
        if p.ndim == 1:
            estimate = state["variance"].clone()
        else:
            estimate = (state["row_var"] @ state["col_var"]).div_(mean.clamp(min=LEAST))
        return estimate.clamp_(min=LEAST * LEAST).rsqrt_().mul_(g)

    def share(self, p: Tensor) -> float:
        """How much of a mean square is new."""
        return math.pow(self.state[p]["step"], -0.8)

    def remembered(self, p: Tensor) -> dict[str, Any]:
        """What is known of ``p``; before the first step, room for it."""
        state: dict[str, Any] = self.state[p]
        if not state:
            state["step"] = torch.tensor(0.0)
            if p.ndim == 1:
                state["variance"] = torch.zeros_like(p)
            else:
                state["row_var"] = p.new_zeros(len(p), 1)
                state["col_var"] = p.new_zeros(1, p.shape[1])
        return state


class MuonOfRows(OfRows):
    """torch's Muon, each matrix made orthogonal by one process, in turn.

    Momentum is of rows. What comes of it is gathered where it is computed, and its
    rows are handed back.
    """

    def __init__(
        self, params: Iterable[Any], lr: float, momentum: float, shards: Shards
    ) -> None:
        options = {"lr": lr, "weight_decay": 0.0, "momentum": momentum}
        super().__init__(params, options, shards)

    def take(self) -> None:
        """As many matrices at a time as there are processes."""
        todo = self.todo()
        for start in range(0, len(todo), self.team.size):
            self.take_together(todo[start : start + self.team.size])

    def take_together(self, todo: list[tuple[dict[str, Any], Tensor, Tensor]]) -> None:
        """One step of one matrix for each process."""
        filled = [self.filled(p, self.pushed(group, p, g)) for group, p, g in todo]
        gathered = [self.team.gather(rows, at) for at, rows in enumerate(filled)]
        pieces: list[list[Tensor]] = [[] for _ in todo]
        if self.team.rank < len(todo):
            group, p, _ = todo[self.team.rank]
            whole = torch.cat(gathered[self.team.rank])[: self.heights[p]]
            pieces[self.team.rank] = self.cut(p, orthogonal_step(whole, group["lr"]))
        for at, (group, p, _) in enumerate(todo):
            step = self.team.scatter(pieces[at], filled[at], at)
            p.mul_(1 - group["lr"] * group["weight_decay"]).add_(step[: len(p)])

    def pushed(self, group: dict[str, Any], p: Tensor, g: Tensor) -> Tensor:
        """Nesterov's momentum of the own rows, with the gradient entered."""
        state: dict[str, Any] = self.state[p]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(g)
        buffer: Tensor = state["momentum_buffer"].lerp_(g, 1 - group["momentum"])
        return g.lerp(buffer, group["momentum"])

    def filled(self, p: Tensor, rows: Tensor) -> Tensor:
        """``rows`` and zeros, as many as the first process has."""
        most = len(rows_of(0, self.team.size, self.heights[p]))
        return torch.cat((rows, rows.new_zeros(most - len(rows), rows.shape[1])))

    def cut(self, p: Tensor, whole: Tensor) -> list[Tensor]:
        """The rows of each process, filled up."""
        size, height = self.team.size, self.heights[p]
        shares = (rows_of(rank, size, height) for rank in range(size))
        return [self.filled(p, whole[one.start : one.stop]) for one in shares]


def orthogonal_step(momentum: Tensor, rate: float) -> Tensor:
    """What torch's Muon adds to a matrix [n, m] with this momentum, decay apart."""
    zeros = nn.Parameter(torch.zeros_like(momentum))
    zeros.grad = momentum
    light(torch.optim.Muon)(
        [zeros],
        lr=rate,
        weight_decay=0.0,
        momentum=0.0,
        nesterov=False,
        adjust_lr_fn="match_rms_adamw",
    ).step()  # type: ignore[no-untyped-call]
    return zeros.detach()
