import math
from typing import Any

import pytest
import torch

from slangmod.model import build_model
from slangmod.model.feedforward import ACTIVATIONS, FLAVORS, GATES
from slangmod.model.norms import NORMS
from slangmod.model.positions import POSITIONS
from slangmod.settings.sections import FeedForward, Model
from slangmod.settings.tensors import count_parameters

VOCAB = 23


def words(section: Any, key: str) -> set[str]:
    """The words that a setting may take."""
    forms = section.model_json_schema()["properties"][key]
    return set(forms.get("anyOf", [forms])[0]["enum"])


def test_settings_name_what_the_tables_hold() -> None:
    assert words(Model, "positions") == POSITIONS.keys()
    assert words(Model, "norm_cls") == NORMS.keys()
    assert words(FeedForward, "flavor") == FLAVORS.keys()
    assert words(FeedForward, "activation") == ACTIVATIONS.keys()
    assert words(FeedForward, "gate") == GATES.keys()


def test_equal_seeds_give_equal_weights(tiny: Any) -> None:
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(build_model(tiny(), VOCAB).state_dict())
    first, same, other = models
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])


def test_a_fresh_model_is_ready_for_training(tiny: Any) -> None:
    model = build_model(tiny(), VOCAB)
    assert model.training
    for tensor in (*model.parameters(), *model.buffers()):
        assert tensor.device.type == "cpu"
        assert tensor.dtype == torch.float32
        assert tensor.isfinite().all()


def test_tables_of_positions_are_not_weights(tiny: Any) -> None:
    for kind in POSITIONS:
        model = build_model(tiny(model={"positions": kind}), VOCAB)
        assert model.state_dict().keys() == dict(model.named_parameters()).keys()


@pytest.mark.parametrize("n_layers", [1, 8])
def test_residual_projections_are_scaled_by_depth(tiny: Any, n_layers: int) -> None:
    torch.manual_seed(0)
    model = build_model(tiny(model={"dim": 64, "n_layers": n_layers}), VOCAB)
    for layer in model.layers:
        for matrix, residual in (
            (layer.attention.qkv, False),
            (layer.attention.output, True),
            (layer.feedforward.up, False),
            (layer.feedforward.down, True),
        ):
            expected = (3 * matrix.in_features) ** -0.5
            if residual:
                expected /= math.sqrt(2 * n_layers)
            assert abs(matrix.weight.std() / expected - 1) < 0.1
            assert abs(matrix.weight.mean()) < 0.1 * expected


@pytest.mark.parametrize("flavor", ["vanilla", "glu"])
def test_layers_that_begin_at_zero_pass_on_what_they_get_and_learn(
    tiny: Any, flavor: str
) -> None:
    models = []
    for zeros in (False, True):
        part = {"zero_init": zeros, "dropout": 0.0, "positions": "rotary"}
        part |= {"feedforward": {"flavor": flavor}}
        torch.manual_seed(1)
        models.append(build_model(tiny(model=part), VOCAB))
    drawn, begun = (dict(model.named_parameters()) for model in models)
    silent = {name for name in drawn if not torch.equal(drawn[name], begun[name])}
    assert {name.partition(".")[2].partition(".")[2] for name in silent} == {
        "attention.output.weight",
        "feedforward.down.weight",
    }
    assert all(begun[name].count_nonzero() == 0 for name in silent)
    model = models[1]
    ids = torch.randint(VOCAB, (2, 6))
    logits = model(ids)
    untouched = model.embedding(ids) * model.positions.embedding_scale
    assert torch.equal(logits, model.head(model.norm(untouched)))
    logits.square().sum().backward()
    assert all(begun[name].grad.count_nonzero() for name in silent)


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"positions": "learnable", "tie_embeddings": False, "norm_first": False},
        {"positions": "rotary", "qk_norm": True, "attn_bias": True, "n_kv_heads": 1},
        {"norm_cls": "rms", "feedforward": {"flavor": "glu", "bias": True}},
        {"norm_bias": False, "feedforward": {"flavor": "grn", "factor": 2.5}},
    ],
    ids=str,
)
def test_parameters_are_counted_without_a_model(tiny: Any, shape: Any) -> None:
    settings = tiny(model=shape)
    model = build_model(settings, VOCAB)
    counted = sum(weight.numel() for weight in model.parameters())
    assert count_parameters(settings.model, VOCAB) == counted


def test_counting_sets_no_memory_aside() -> None:
    dim, layers, vocab = 1 << 16, 100, 1 << 20
    matrices, norms = 12 * dim * dim, 2 * 2 * dim
    expected = vocab * dim + layers * (matrices + norms) + 2 * dim
    assert count_parameters(Model(dim=dim, n_layers=layers), vocab) == expected
