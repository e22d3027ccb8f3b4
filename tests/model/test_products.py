"""Products by oneDNN: the same numbers, the same gradients, only where asked for."""

from typing import Any

import pytest
import torch
from torch import Tensor

from slangmod.model import build_model
from slangmod.model.products import Linear, onednn_product, plain_product

onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="torch is built without oneDNN"
)
VOCAB = 9


@onednn
@pytest.mark.parametrize("lead", [(5,), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_map_and_its_gradients_are_those_of_torch(
    lead: tuple[int, ...], bias: bool
) -> None:
    torch.manual_seed(0)
    linear, x = Linear(6, 7, bias=bias), torch.randn(*lead, 6, requires_grad=True)
    slope = torch.randn(*lead, 7)
    found = []
    for product in (plain_product, onednn_product()):
        linear.product = product
        y = linear(x)
        found.append((y, *torch.autograd.grad(y, [x, *linear.parameters()], slope)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def counted(a: Tensor, b: Tensor) -> Tensor:
    """A product that is not torch's, to see that it is used."""
    return 2 * plain_product(a, b)


def test_all_linear_maps_of_a_model_take_the_product_given(tiny: Any) -> None:
    model = build_model(tiny(), VOCAB)
    model.set_product(counted)
    maps = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    assert maps
    for linear in maps:
        x = torch.randn(3, linear.in_features)
        torch.testing.assert_close(linear(x), 2 * (x @ linear.weight.T))


def test_low_precision_is_left_to_torch() -> None:
    linear, x = Linear(6, 7, bias=False), torch.randn(5, 6)
    linear.product = counted
    with torch.autocast("cpu", torch.bfloat16):
        y = linear(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, (x.bfloat16() @ linear.weight.bfloat16().T))


@onednn
def test_it_is_defined_once() -> None:
    assert onednn_product() is onednn_product()
