"""What keeps activations at one scale: two kinds, both computed in float32."""

from collections.abc import Callable

from torch import nn

EPSILON = 1e-5
"""Added under the root."""


def layer(width: int, bias: bool) -> nn.LayerNorm:
    """Mean 0 and variance 1, then scaled and shifted (Ba et al. 2016)."""
    return nn.LayerNorm(width, eps=EPSILON, bias=bias)


def rms(width: int, _bias: bool) -> nn.RMSNorm:
    """Mean square 1, then scaled; never a bias (Zhang & Sennrich 2019)."""
    return nn.RMSNorm(width, eps=EPSILON)


NORMS: dict[str, Callable[[int, bool], nn.Module]] = {"layer": layer, "rms": rms}
