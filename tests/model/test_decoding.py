"""One token at a time gives the logits of all at once, for every kind of part."""

from typing import Any

import pytest
import torch

from slangmod.model import Transformer, build_model
from slangmod.model.decoding import Decoder
from slangmod.model.feedforward import ACTIVATIONS, FLAVORS, GATES
from slangmod.model.norms import NORMS
from slangmod.model.positions import POSITIONS

VOCAB, LENGTH = 23, 12

SHAPES: list[dict[str, Any]] = [
    *({"positions": kind} for kind in POSITIONS),
    *({"positions": kind, "qk_norm": True} for kind in POSITIONS),
    *({"norm_cls": kind, "qk_norm": True} for kind in NORMS),
    *({"norm_cls": kind, "norm_first": False} for kind in NORMS),
    *({"feedforward": {"flavor": kind}} for kind in FLAVORS),
    *({"feedforward": {"flavor": kind, "bias": True}} for kind in FLAVORS),
    *({"feedforward": {"activation": kind}} for kind in ACTIVATIONS),
    *({"feedforward": {"flavor": "glu", "gate": kind}} for kind in GATES),
    {"n_kv_heads": 2},
    {"attention_window": 4},
    {"attention_window": 1, "n_kv_heads": 2},
    {"layer": ({"attention_window": 3}, {})},
    {"n_kv_heads": 1, "positions": "rotary"},
    {"attn_bias": True, "norm_bias": False},
    {"tie_embeddings": False},
    {"logit_softcap": 0.5},
    {"positions": "rotary", "layer": ({"n_heads": 2}, {"n_heads": 8, "qk_norm": True})},
    {"layer": ({}, {"feedforward": {"flavor": "grn"}})},
]


def lively_model(tiny: Any, shape: dict[str, Any]) -> Transformer:
    """A model in which every weight matters, biases and norms too."""
    torch.manual_seed(0)
    model = build_model(tiny(model={"n_heads": 4, **shape}), VOCAB).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn_like(weight)
    return model


@torch.inference_mode()
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_token_by_token_equals_all_at_once(tiny: Any, shape: dict[str, Any]) -> None:
    model = lively_model(tiny, shape)
    ids = torch.randint(VOCAB, (3, LENGTH))
    cache = model.new_cache(3, LENGTH)
    decoder = Decoder(model, cache)
    model.hidden(ids[:, :2], cache)
    read = [decoder.read(ids[:, place]) for place in range(2, LENGTH)]
    assert cache.length == LENGTH
    wanted = model(ids)
    assert (wanted[:, 2:] - wanted[:, 2:3]).abs().max() > 0.1
    found = torch.stack(read, dim=1)
    torch.testing.assert_close(found, wanted[:, 2:], rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_what_was_read_one_by_one_can_be_read_on_from(tiny: Any) -> None:
    model = lively_model(tiny, {"positions": "rotary"})
    ids = torch.randint(VOCAB, (2, LENGTH))
    cache = model.new_cache(2, LENGTH)
    decoder = Decoder(model, cache)
    for place in range(5):
        decoder.read(ids[:, place])
    rows = torch.tensor([1, 0, 1])
    cache.select(rows)
    wanted = model(ids[rows])
    torch.testing.assert_close(decoder.read(ids[rows, 5]), wanted[:, 5])
    torch.testing.assert_close(model.step(ids[rows, 6:], cache), wanted[:, 6:])


@torch.inference_mode()
def test_changed_weights_are_heeded(tiny: Any) -> None:
    model = lively_model(tiny, {})
    ids = torch.randint(VOCAB, (1, 1))
    cache = model.new_cache(1, LENGTH)
    decoder = Decoder(model, cache)
    for weight in model.parameters():
        weight.mul_(1.5)
    torch.testing.assert_close(decoder.read(ids[:, 0]), model(ids)[:, 0])


@torch.inference_mode()
@pytest.mark.parametrize("kind", POSITIONS)
@pytest.mark.parametrize("window", [None, 3])
def test_documents_stay_apart(tiny: Any, kind: str, window: int | None) -> None:
    torch.manual_seed(0)
    shape = {"positions": kind, "attention_window": window}
    settings = tiny(model=shape, data={"packing": "mask"})
    model = build_model(settings, VOCAB, end=0).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * torch.randn_like(weight)
    ids = torch.randint(1, VOCAB, (2, LENGTH))
    ids[0, 5] = ids[1, 1] = ids[1, 8] = 0
    cache = model.new_cache(2, LENGTH)
    decoder = Decoder(model, cache)
    read = [decoder.read(ids[:, place]) for place in range(LENGTH)]
    found = torch.stack(read, dim=1)
    torch.testing.assert_close(found, model(ids), rtol=1e-4, atol=1e-4)
