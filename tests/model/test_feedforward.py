import math
from typing import Any

import pytest
import torch

from slangmod.model.feedforward import ACTIVATIONS, FLAVORS, GATES

FORMULAS = {
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
    "gelu": lambda x: x / 2 * (1 + math.erf(x / 2**0.5)),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "none": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "relu2": lambda x: max(x, 0.0) ** 2,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "swish": lambda x: x / (1 + math.exp(-x)),
}


@pytest.mark.parametrize("name", GATES)
def test_functions_follow_their_formulas(name: str) -> None:
    x = torch.linspace(-4, 4, 17, dtype=torch.float64)
    expected = torch.tensor([FORMULAS[name](v) for v in x.tolist()]).double()
    torch.testing.assert_close(GATES[name](x), expected, rtol=1e-6, atol=1e-7)


def test_every_activation_is_a_gate() -> None:
    assert ACTIVATIONS.items() <= GATES.items()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("factor", [1, 2, 4, 2.5])
@pytest.mark.parametrize("flavor", FLAVORS)
def test_every_flavor_honours_factor_and_bias(
    flavor: str, factor: float, bias: bool
) -> None:
    dim = 8
    block = FLAVORS[flavor](dim, factor, torch.relu, torch.sigmoid, bias)
    width = round(dim * factor)
    assert block.up.weight.shape == (width, dim)
    downs = {"vanilla": (dim, width), "glu": (dim, width // 2), "grn": (2 * dim, width)}
    assert block.down.weight.shape == downs[flavor]
    assert (block.up.bias is not None, block.down.bias is not None) == (bias, bias)
    assert block(torch.randn(2, 3, dim)).shape == (2, 3, dim)


def test_flavors_compute_what_they_say() -> None:
    x = torch.randn(5, 8)

    def build(flavor: str) -> Any:
        return FLAVORS[flavor](8, 2, torch.relu, torch.tanh, True)

    vanilla = build("vanilla")
    torch.testing.assert_close(vanilla(x), vanilla.down(torch.relu(vanilla.up(x))))
    glu = build("glu")
    value, gate = glu.up(x).split(8, dim=-1)
    torch.testing.assert_close(glu(x), glu.down(value * torch.tanh(gate)))
    grn = build("grn")
    value, gate = grn.down(torch.relu(grn.up(x))).split(8, dim=-1)
    torch.testing.assert_close(grn(x), value * torch.tanh(gate))


@pytest.mark.parametrize("flavor", FLAVORS)
def test_the_smallest_factor_leaves_a_hidden_feature(flavor: str) -> None:
    block = FLAVORS[flavor](4, 0.01, torch.relu, torch.tanh, False)
    assert block(torch.randn(1, 4)).shape == (1, 4)
