"""The half of a layer that thinks about each token by itself: three flavors.

``factor * dim`` is the width of the first projection in all of them:

    vanilla   dim -> factor * dim, activation, -> dim
    glu       dim -> factor * dim, its first half times gate(its second half),
              factor * dim / 2 -> dim                           (Shazeer 2020)
    grn       dim -> factor * dim, activation, -> 2 * dim, its first half times
              gate(its second half)                         (after Lim et al. 2019)

The activation plays no part in "glu", the gate none in "vanilla".
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

Function = Callable[[Tensor], Tensor]


def identity(x: Tensor) -> Tensor:
    """X, unchanged."""
    return x


def relu2(x: Tensor) -> Tensor:
    """``max(0, x)^2`` (So et al. 2021, Primer)."""
    return functional.relu(x).square()


class Gated(nn.Module):
    """[.., 2 n] -> [.., n]: the first half times gate(the second half)."""

    def __init__(self, gate: Function) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        """Each position by itself."""
        value, control = x.chunk(2, dim=-1)
        return value * self.gate(control)


class FeedForward(nn.Module):
    """[.., dim] -> [.., dim] by two projections with something between and after."""

    def __init__(
        self, up: nn.Linear, between: Function, down: nn.Linear, after: Function
    ) -> None:
        super().__init__()
        self.up = up
        self.between = between
        self.down = down
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        """Each position by itself."""
        return self.after(self.down(self.between(self.up(x))))


def vanilla(
    dim: int, factor: float, activation: Function, _gate: Function, bias: bool
) -> FeedForward:
    """Up, activation, down."""
    hidden = max(1, round(factor * dim))
    up = nn.Linear(dim, hidden, bias=bias)
    return FeedForward(up, activation, nn.Linear(hidden, dim, bias=bias), identity)


def glu(
    dim: int, factor: float, _activation: Function, gate: Function, bias: bool
) -> FeedForward:
    """Up, one half gates the other, down."""
    half = max(1, round(factor * dim / 2))
    up = nn.Linear(dim, 2 * half, bias=bias)
    return FeedForward(up, Gated(gate), nn.Linear(half, dim, bias=bias), identity)


def grn(
    dim: int, factor: float, activation: Function, gate: Function, bias: bool
) -> FeedForward:
    """Up, activation, down to twice the width, one half gates the other."""
    hidden = max(1, round(factor * dim))
    up = nn.Linear(dim, hidden, bias=bias)
    down = nn.Linear(hidden, 2 * dim, bias=bias)
    return FeedForward(up, activation, down, Gated(gate))


ACTIVATIONS: dict[str, Function] = {
    "elu": functional.elu,
    "gelu": functional.gelu,
    "mish": functional.mish,
    "relu": functional.relu,
    "relu2": relu2,
    "swish": functional.silu,
}

GATES: dict[str, Function] = {
    **ACTIVATIONS,
    "none": identity,
    "sigmoid": functional.sigmoid,
}

FLAVORS: dict[str, Callable[[int, float, Function, Function, bool], FeedForward]] = {
    "vanilla": vanilla,
    "glu": glu,
    "grn": grn,
}
