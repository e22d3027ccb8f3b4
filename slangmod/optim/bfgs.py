"""L-BFGS: steps that know the curvature, from pairs of steps and changes of gradient.

Liu and Nocedal, "On the limited memory BFGS method for large scale optimization",
1989, without a line search. All parameters together are one vector.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from slangmod.optim.light import Light

LEAST_CURVATURE: Final = 1e-12
"""A pair is kept if ``s.y`` is more than so much of ``|s| |y|``."""

Vector = Sequence[Tensor]
"""One long vector, in the pieces of the parameters."""


def dot(one: Vector, other: Vector) -> float:
    """The scalar product of two vectors, summed up in double precision.

    >>> dot([torch.tensor([1.0, 2.0])], [torch.tensor([3.0, 4.0])])
    11.0
    """
    parts = [(a.double() * b.double()).sum() for a, b in zip(one, other, strict=True)]
    return float(torch.stack(parts).sum())


def quasi_newton(gradient: Vector, pairs: Sequence[tuple[Vector, Vector]]) -> Vector:
    """The inverse curvature times ``gradient``, by the two loops of Nocedal, 1980.

    ``pairs`` are steps s and changes of gradient y, the oldest first, at least one.
    Before the first of them the curvature counts as ``s.y / y.y`` of the last.
    """
    q = [piece.clone() for piece in gradient]
    weights = []
    for s, y in reversed(pairs):
        weight = dot(s, q) / dot(s, y)
        weights.append(weight)
        for piece, change in zip(q, y, strict=True):
            piece.sub_(change, alpha=weight)
    s, y = pairs[-1]
    scale = dot(s, y) / dot(y, y)
    for piece in q:
        piece.mul_(scale)
    for (s, y), weight in zip(pairs, reversed(weights), strict=True):
        more = weight - dot(y, q) / dot(s, y)
        for piece, change in zip(q, s, strict=True):
            piece.add_(change, alpha=more)
    return q


class LBFGS(Light):
    """The first ``warmup`` steps follow the gradient, and are not learnt from.

    So does every step before the first pair is known: ``lr`` times the gradient. Later
    ones go by the quasi-Newton step, 1 long and scaled like the rate: by ``lr`` over
    ``initial_lr`` of each group. A pair is kept if ``s.y > 1e-12 |s| |y|``, the last
    ``history`` of them.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        history: int = 10,
        warmup: int = 10,
    ) -> None:
        super().__init__(params, {"lr": lr, "history": history, "warmup": warmup})
        for group in self.param_groups:
            group.setdefault("initial_lr", lr)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; ``closure``, where given, computes loss and gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        parameters = [p for group in self.param_groups for p in group["params"]]
        gradient = [
            torch.zeros_like(p) if p.grad is None else p.grad for p in parameters
        ]
        states = [self.remembered(p) for p in parameters]
        self.learn(states, parameters, gradient)
        for state, p, g in zip(states, parameters, gradient, strict=True):
            state["before"].copy_(p)
            state["gradient"].copy_(g)
            state["step"] += 1
        self.move(gradient, self.pairs(states))
        return loss

    def remembered(self, parameter: Tensor) -> dict[str, Any]:
        """What is known of ``parameter``; before the first step, room for it."""
        state: dict[str, Any] = self.state[parameter]
        if not state:
            shape = (self.param_groups[0]["history"], *parameter.shape)
            state["step"] = 0
            state["pairs"] = 0
            state["before"] = torch.zeros_like(parameter)
            state["gradient"] = torch.zeros_like(parameter)
            state["steps"] = parameter.new_zeros(shape)
            state["changes"] = parameter.new_zeros(shape)
        return state

    def learn(
        self, states: list[dict[str, Any]], parameters: Vector, gradient: Vector
    ) -> None:
        """Keep the pair of the last step, if that was no warmup and curved upwards."""
        group = self.param_groups[0]
        if states[0]["step"] <= group["warmup"]:
            return
        s = [p - one["before"] for p, one in zip(parameters, states, strict=True)]
        y = [g - one["gradient"] for g, one in zip(gradient, states, strict=True)]
        length = math.sqrt(dot(s, s) * dot(y, y))
        if not dot(s, y) > LEAST_CURVATURE * length:
            return
        place = states[0]["pairs"] % group["history"]
        for state, step, change in zip(states, s, y, strict=True):
            state["steps"][place] = step
            state["changes"][place] = change
            state["pairs"] += 1

    def pairs(self, states: list[dict[str, Any]]) -> list[tuple[Vector, Vector]]:
        """The pairs that are kept, the oldest first."""
        history, count = self.param_groups[0]["history"], states[0]["pairs"]
        return [
            (
                [state["steps"][number % history] for state in states],
                [state["changes"][number % history] for state in states],
            )
            for number in range(max(0, count - history), count)
        ]

    def move(self, gradient: Vector, pairs: list[tuple[Vector, Vector]]) -> None:
        """Change the parameters: by the gradient, or by what is known of curvature."""
        direction = iter(quasi_newton(gradient, pairs) if pairs else gradient)
        for group in self.param_groups:
            peak = group["initial_lr"] if pairs else 1.0
            for parameter in group["params"]:
                parameter.add_(next(direction), alpha=-group["lr"] / peak)
