"""No token sees what comes after it: not in training, evaluation or generation."""

from itertools import product
from typing import Any

import pytest
import torch

from slangmod.model import Transformer, build_model
from slangmod.model.attention import EXPLICIT_LIMIT, explicit_attention, fused_attention
from slangmod.model.feedforward import FLAVORS
from slangmod.model.norms import NORMS
from slangmod.model.positions import POSITIONS
from slangmod.settings.sections import LayerFeedForward, LayerTable

VOCAB, LENGTH, END = 23, 10, 4

MIXED = (
    LayerTable(n_heads=4, n_kv_heads=2, attention_window=3),
    LayerTable(feedforward=LayerFeedForward(flavor="grn", gate="torch.nn:SELU")),
)

SHAPES: list[dict[str, Any]] = [
    {"positions": positions, "norm_first": norm_first}
    for positions, norm_first in product(POSITIONS, (True, False))
]
SHAPES += [
    {"positions": "rotary", "norm_cls": norm, "feedforward": {"flavor": flavor}}
    for norm, flavor in product(NORMS, FLAVORS)
]
SHAPES += [
    {"n_heads": 4, "n_kv_heads": kv_heads, "qk_norm": True, "positions": positions}
    for kv_heads, positions in product((1, 2), ("vanilla", "rotary"))
]
SHAPES += [{"tie_embeddings": False, "logit_softcap": 5.0, "attn_bias": True}]
SHAPES += [{"layer": MIXED, "positions": p} for p in ("vanilla", "rotary")]
SHAPES += [{"attention_window": 3, "positions": p} for p in ("vanilla", "rotary")]
SHAPES += [{"packing": "mask", "positions": p} for p in POSITIONS]
SHAPES += [{"packing": "mask", "attention_window": 2, "n_heads": 4, "n_kv_heads": 2}]


@pytest.fixture(params=SHAPES, ids=str)
def model(request: pytest.FixtureRequest, tiny: Any) -> Transformer:
    torch.manual_seed(1)
    shape = {"context": 16, **request.param}
    data = {"packing": shape.pop("packing", "concat")}
    return build_model(tiny(model=shape, data=data), VOCAB, END)


def pairs() -> list[tuple[int, torch.Tensor, torch.Tensor]]:
    """A place, and two batches of ids that differ there alone."""
    torch.manual_seed(2)
    ids = torch.randint(VOCAB, (2, LENGTH))
    result = []
    for place in (0, 1, 5, LENGTH - 1):
        other = ids.clone()
        other[:, place] = (other[:, place] + 1) % VOCAB
        result.append((place, ids, other))
    return result


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("training", [True, False])
def test_a_changed_token_moves_nothing_before_it(
    model: Transformer, precision: str, training: bool
) -> None:
    model.train(training)
    low = precision == "bfloat16"
    for place, ids, other in pairs():
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=low):
            # Equal seeds drop the same activations in both passes.
            torch.manual_seed(3)
            before = model(ids)
            torch.manual_seed(3)
            after = model(other)
        assert torch.equal(before[:, :place], after[:, :place])
        assert not torch.equal(before[:, place], after[:, place])


@pytest.mark.parametrize("pieces", [[LENGTH], [1] * LENGTH, [4, 1, 1, 3, 1]])
def test_a_changed_token_moves_nothing_before_it_through_the_cache(
    model: Transformer, pieces: list[int]
) -> None:
    model.eval()
    for place, ids, other in pairs():
        before, after = cached(model, ids, pieces), cached(model, other, pieces)
        assert torch.equal(before[:, :place], after[:, :place])
        assert not torch.equal(before[:, place], after[:, place])


@torch.no_grad()
def cached(model: Transformer, ids: torch.Tensor, pieces: list[int]) -> torch.Tensor:
    """Logits of ids that are read piece by piece."""
    cache = model.new_cache(len(ids), capacity=LENGTH)
    return torch.cat([model.step(new, cache) for new in ids.split(pieces, 1)], dim=1)


@pytest.mark.parametrize("attend", [fused_attention, explicit_attention])
@pytest.mark.parametrize("seen", [7, EXPLICIT_LIMIT + 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_later_keys_have_no_gradient(
    attend: Any, seen: int, dtype: torch.dtype
) -> None:
    query, key, value = (torch.randn(1, 2, seen, 4, dtype=dtype) for _ in range(3))
    key.requires_grad_()
    value.requires_grad_()
    place = seen // 2
    attend(query, key, value, 0.0)[:, :, place].sum().backward()
    assert key.grad is not None
    assert value.grad is not None
    for gradient in (key.grad, value.grad):
        assert not gradient[:, :, place + 1 :].any()
        assert gradient[:, :, : place + 1].any()
