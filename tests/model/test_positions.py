from itertools import pairwise
from typing import Any

import pytest
import torch

from slangmod.model import build_model
from slangmod.model.attention import fused_attention
from slangmod.model.positions import POSITIONS, Rotary, rotate, sinusoids

CONTEXT, DIM = 4096, 64


def exact(context: int, dim: int) -> torch.Tensor:
    """Vaswani et al. 2017, section 3.5, in float64 and one number at a time."""
    table = torch.empty(context, dim, dtype=torch.float64)
    for feature in range(dim):
        wavelength = 10_000.0 ** (feature // 2 * 2 / dim)
        angles = torch.arange(context, dtype=torch.float64) / wavelength
        table[:, feature] = angles.cos() if feature % 2 else angles.sin()
    return table


@pytest.mark.parametrize("dim", [64, 7, 1])
def test_sinusoids_follow_the_formula_to_the_last_position(dim: int) -> None:
    table = sinusoids(CONTEXT, dim)
    assert table.dtype == torch.float32
    assert (table.double() - exact(CONTEXT, dim)).abs().max() < 1e-6


def test_all_positions_are_distinct() -> None:
    table = sinusoids(CONTEXT, DIM)
    assert all(not torch.equal(a, b) for a, b in pairwise(table))
    assert len(table.unique(dim=0)) == CONTEXT


def sinusoids_that_arrive(model: Any, ids: torch.Tensor, every_layer: bool) -> Any:
    """What positions add to the input of the first layer, or of its attention."""
    arrived = []
    layer = model.layers[0]
    if every_layer:
        hook = layer.attention.qkv.register_forward_pre_hook(
            lambda _, args: arrived.append(args[0])
        )
    else:
        hook = layer.register_forward_pre_hook(lambda _, args: arrived.append(args[0]))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model(ids)
        hook.remove()
        without = model.embedding(ids) * model.positions.embedding_scale
        if every_layer:
            without = layer.attention_norm(without)
    return arrived[0] - without


@pytest.mark.parametrize("positions", ["vanilla", "sinusoidal"])
def test_bfloat16_leaves_sinusoids_in_float32(tiny: Any, positions: str) -> None:
    shape = {"positions": positions, "context": CONTEXT, "dim": DIM, "n_layers": 1}
    model = build_model(tiny(model=shape), 5).eval()
    # Where nothing else is added, the sum is not rounded either.
    model.embedding.weight.data.zero_()
    ids = torch.randint(5, (1, CONTEXT))
    arrived = sinusoids_that_arrive(model, ids, positions == "sinusoidal")
    assert arrived.dtype == torch.float32
    assert (arrived[0].double() - exact(CONTEXT, DIM)).abs().max() < 1e-6


def test_rotary_turns_in_float32_under_autocast() -> None:
    rotary = Rotary(CONTEXT, 16, [8])
    rotary.fill()
    heads = torch.randn(1, CONTEXT, 2, 8).bfloat16()
    rotation = rotary(0, CONTEXT).rotation
    assert rotation is not None
    with torch.autocast("cpu", torch.bfloat16):
        turned = rotate(heads, *rotation[8])
    assert turned.dtype == torch.float32
    angles = torch.arange(CONTEXT, dtype=torch.float64)[:, None, None]
    angles = angles * 10_000.0 ** (-torch.arange(0, 8, 2, dtype=torch.float64) / 8)
    first, second = heads.double().chunk(2, dim=-1)
    expected = torch.cat(
        (
            first * angles.cos() - second * angles.sin(),
            second * angles.cos() + first * angles.sin(),
        ),
        dim=-1,
    )
    assert (turned.double() - expected).abs().max() < 1e-6


def test_rotary_scores_depend_on_distance_alone() -> None:
    rotary = Rotary(CONTEXT, 16, [8])
    rotary.fill()
    query, key = torch.randn(2, 1, 1, 1, 8)

    def score(query_at: int, key_at: int) -> torch.Tensor:
        turned = [
            rotate(heads, *rotary(at, at + 1).rotation[8])
            for heads, at in ((query, query_at), (key, key_at))
        ]
        return (turned[0] * turned[1]).sum()

    for distance in (0, 1, 5, 100):
        near, far = score(distance, 0), score(3000 + distance, 3000)
        torch.testing.assert_close(near, far, rtol=0, atol=1e-5)
    assert (score(0, 0) - score(5, 0)).abs() > 1e-3


def test_rotary_keeps_lengths() -> None:
    rotary = Rotary(50, 12, [6])
    rotary.fill()
    heads = torch.randn(2, 50, 3, 6)
    turned = rotate(heads, *rotary(0, 50).rotation[6])
    torch.testing.assert_close(turned.norm(dim=-1), heads.norm(dim=-1))


@pytest.mark.parametrize("kind", POSITIONS)
def test_tables_of_a_part_are_part_of_the_table(kind: str) -> None:
    positions = POSITIONS[kind](20, 8, [4])
    positions.fill()
    whole, part = positions(0, 20), positions(5, 9)
    for all_places, places in zip(whole, part, strict=True):
        if isinstance(all_places, dict):
            assert all(
                torch.equal(a[5:9], b)
                for a, b in zip(all_places[4], places[4], strict=True)
            )
        elif all_places is not None:
            assert torch.equal(all_places[5:9], places)


@pytest.mark.parametrize("kind", POSITIONS)
def test_order_matters_to_every_kind(tiny: Any, kind: str) -> None:
    torch.manual_seed(0)
    model = build_model(tiny(model={"positions": kind}), 9).eval()
    ids = torch.tensor([[1, 2, 3, 4], [3, 2, 1, 4]])
    first, second = model(ids)[:, -1]
    assert (first - second).abs().max() > 1e-4


def test_without_positions_attention_sees_a_set() -> None:
    query, key, value = torch.randn(3, 1, 1, 4, 8)
    order = torch.tensor([2, 0, 1, 3])
    mixed = fused_attention(query, key, value, 0.0)
    again = fused_attention(query, key[:, :, order], value[:, :, order], 0.0)
    torch.testing.assert_close(mixed[:, :, -1], again[:, :, -1])
