"""Models whose layers differ: each layer is what its table says."""

import hashlib
import json
import math
from typing import Any

import pytest
import torch

from slangmod.errors import DataError
from slangmod.model import Transformer, build_model, load_model, save_model
from slangmod.model.build import layer as build_layer
from slangmod.model.positions import POSITIONS
from slangmod.settings.per_layer import layers_of
from slangmod.settings.sections import LayerFeedForward, LayerTable
from slangmod.settings.tensors import tensors_of

VOCAB, LENGTH = 23, 12

TABLES = (
    LayerTable(n_heads=4, n_kv_heads=1, qk_norm=True),
    LayerTable(repeat=2, attn_bias=True),
    LayerTable(
        n_heads=1,
        feedforward=LayerFeedForward(flavor="glu", gate="torch.nn:Tanh", factor=2.5),
    ),
    LayerTable(feedforward=LayerFeedForward(activation="relu", bias=True)),
)
"""Heads 4, 8, 8, 16 and 8 features wide, and different halves after them."""

MIXED = {"layer": TABLES, "n_layers": 5, "context": 16}


@pytest.fixture(params=POSITIONS)
def settings(request: Any, tiny: Any) -> Any:
    return tiny(model={**MIXED, "positions": request.param})


@pytest.fixture
def model(settings: Any) -> Transformer:
    torch.manual_seed(0)
    return build_model(settings, VOCAB).eval()


def test_every_layer_is_what_its_table_says(settings: Any, model: Any) -> None:
    assert [one.attention.split for one in model.layers] == [
        [4, 1, 1],
        [2, 2, 2],
        [2, 2, 2],
        [1, 1, 1],
        [2, 2, 2],
    ]
    assert [one.attention.head for one in model.layers] == [4, 8, 8, 16, 8]
    norms = [one.attention.query_norm is not None for one in model.layers]
    assert norms == [True, False, False, False, False]
    biases = [one.attention.qkv.bias is not None for one in model.layers]
    assert biases == [False, True, True, False, False]
    widths = [one.feedforward.up.out_features for one in model.layers]
    assert widths == [64, 64, 64, 40, 64]
    assert model.layers[4].feedforward.between is torch.nn.functional.relu
    assert isinstance(model.layers[3].feedforward.between.gate, torch.nn.Tanh)


def test_names_and_shapes_are_those_that_settings_foretell(
    settings: Any, model: Any
) -> None:
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert list(shapes.items()) == list(tensors_of(settings.model, VOCAB).items())


@torch.no_grad()
@pytest.mark.parametrize("pieces", [[12], [1] * 12, [5, 1, 1, 4, 1]])
def test_cached_logits_equal_uncached_ones(model: Any, pieces: list[int]) -> None:
    ids = torch.randint(VOCAB, (3, LENGTH))
    cache = model.new_cache(3, LENGTH)
    logits = [model.step(new, cache) for new in ids.split(pieces, dim=1)]
    torch.testing.assert_close(torch.cat(logits, dim=1), model(ids))
    assert [one.shape for one in cache.keys] == [
        (3, 1, LENGTH, 4),
        (3, 2, LENGTH, 8),
        (3, 2, LENGTH, 8),
        (3, 1, LENGTH, 16),
        (3, 2, LENGTH, 8),
    ]


@torch.no_grad()
def test_selected_rows_go_on_where_they_were(model: Any) -> None:
    ids = torch.randint(VOCAB, (3, 6))
    cache = model.new_cache(3, LENGTH)
    model.step(ids, cache)
    rows = torch.tensor([2, 0, 2, 1])
    cache.select(rows)
    new = torch.randint(VOCAB, (4, 1))
    whole = torch.cat((ids[rows], new), dim=1)
    torch.testing.assert_close(model.step(new, cache), model(whole)[:, -1:])


@torch.no_grad()
def test_a_layer_of_a_mixed_model_computes_what_it_would_alone(
    settings: Any, model: Any
) -> None:
    """Its heads are turned by the angles of their own width."""
    x = torch.randn(2, 7, 16)
    for index, section in enumerate(layers_of(settings.model)):
        if section.feedforward.flavor == "glu":
            continue  # its gate is a class
        alone = build_layer(section, {}).eval()
        alone.load_state_dict(model.layers[index].state_dict())
        widths = [section.dim // section.n_heads]
        places = POSITIONS[section.positions](16, 16, widths)
        places.fill()
        if section.positions == "learnable":
            places.load_state_dict(model.positions.state_dict())
        expected = alone(x, places(0, 7), None)
        assert torch.equal(
            model.layers[index](x, model.positions(0, 7), None), expected
        )


def test_residual_projections_are_scaled_by_the_layers_in_all(tiny: Any) -> None:
    torch.manual_seed(0)
    shape = {"dim": 64, "layer": (LayerTable(repeat=3), LayerTable()), "n_layers": 4}
    for one in build_model(tiny(model=shape), VOCAB).layers:
        for matrix in (one.attention.output, one.feedforward.down):
            expected = (3 * matrix.in_features) ** -0.5 / math.sqrt(2 * 4)
            assert abs(matrix.weight.std() / expected - 1) < 0.1


def test_equal_tables_are_no_tables_to_the_bit(tiny: Any) -> None:
    states = []
    for shape in ({}, {"layer": (LayerTable(), LayerTable(n_heads=2))}):
        torch.manual_seed(0)
        settings = tiny(model={"positions": "rotary", **shape})
        states.append(build_model(settings, VOCAB).state_dict())
    one, other = states
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_mixed_model_is_loaded_as_it_was_saved(
    settings: Any, model: Any, tmp_path: Any
) -> None:
    save_model(tmp_path / "model", model, b"{}")
    loaded = load_model(tmp_path / "model")
    ids = torch.randint(VOCAB, (2, 9))
    assert torch.equal(loaded(ids), model(ids))
    assert loaded.config == model.config


def test_layers_that_do_not_add_up_are_refused(model: Any, tmp_path: Any) -> None:
    save_model(tmp_path / "model", model, b"{}")
    path = tmp_path / "model" / "config.json"
    content = json.loads(path.read_text())
    content["model"]["n_layers"] = 4
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"n_layers = 4, but model\.layer has 5"):
        load_model(tmp_path / "model")


def test_the_description_of_a_model_without_tables_has_none(tiny: Any) -> None:
    model = build_model(tiny(), VOCAB)
    assert "layer" not in model.config["model"]
    text = json.dumps(model.config, indent=2)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "04ed7a83545a01141aab5a11015307b9699635bee0705fbffc45fbe5fd70439e"
