import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slangmod.model.build import layer, skeleton
from slangmod.optim.groups import parameter_groups
from slangmod.settings.per_layer import layers_of
from slangmod.settings.sections import (
    FeedForward,
    LayerFeedForward,
    LayerTable,
    Model,
)
from slangmod.settings.tensors import (
    PARTS,
    count_parameters,
    kinds_of,
    parameters_by_part,
    part_of,
    tensors_of,
)

HEADS = [(1, None), (2, 1), (4, None), (4, 2), (6, 3)]

feedforwards = st.builds(
    FeedForward,
    flavor=st.sampled_from(["vanilla", "glu", "grn"]),
    bias=st.booleans(),
    factor=st.floats(0.01, 5),
)


@st.composite
def models(draw):
    heads, kv_heads = draw(st.sampled_from(HEADS))
    return Model(
        dim=heads * draw(st.sampled_from([2, 4, 6])),
        positions=draw(
            st.sampled_from(["vanilla", "learnable", "sinusoidal", "rotary"])
        ),
        context=draw(st.integers(2, 50)),
        n_heads=heads,
        n_kv_heads=kv_heads,
        n_layers=draw(st.integers(1, 3)),
        attn_bias=draw(st.booleans()),
        norm_cls=draw(st.sampled_from(["layer", "rms"])),
        norm_bias=draw(st.booleans()),
        norm_first=draw(st.booleans()),
        qk_norm=draw(st.booleans()),
        tie_embeddings=draw(st.booleans()),
        feedforward=draw(feedforwards),
    )


def shapes(module):
    return {name: tuple(weight.shape) for name, weight in module.named_parameters()}


@given(models(), st.integers(1, 99))
@settings(deadline=None)
def test_names_shapes_and_order_are_those_of_the_model_that_is_built(model, vocab):
    built = shapes(skeleton(model, vocab))
    assert list(tensors_of(model, vocab).items()) == list(built.items())
    assert count_parameters(model, vocab) == sum(map(math.prod, built.values()))


@given(models(), st.integers(1, 99))
@settings(deadline=None, max_examples=30)
def test_kinds_are_those_by_which_optimizers_group_weights(model, vocab):
    built = skeleton(model, vocab)
    names = {id(weight): name for name, weight in built.named_parameters()}
    kinds = {
        names[id(weight)]: group["kind"]
        for group in parameter_groups(built, 0.1)
        for weight in group["params"]
    }
    assert kinds_of(model, vocab) == kinds


@given(models())
@settings(deadline=None, max_examples=30)
def test_parts_add_up_to_all_parameters(model):
    parts = parameters_by_part(model, 31)
    assert tuple(parts) == PARTS
    assert sum(parts.values()) == count_parameters(model, 31)


def test_parts_of_a_small_model_are_as_counted_by_hand():
    model = Model(
        dim=8,
        n_heads=2,
        n_layers=2,
        context=5,
        positions="learnable",
        tie_embeddings=False,
        qk_norm=True,
    )
    assert parameters_by_part(model, 11) == {
        "embeddings": 11 * 8,
        "positions": 5 * 8,
        "attention": 2 * (8 * 24 + 8 * 8),
        "feed-forward": 2 * (8 * 32 + 32 * 8),
        "norms": 2 * (2 * 16 + 2 * 4) + 16,
        "output": 11 * 8,
    }


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (LayerTable(), {}),
        (LayerTable(n_heads=4), {"n_heads": 4, "n_kv_heads": 4}),
        (LayerTable(n_kv_heads=1), {"n_kv_heads": 1}),
        (LayerTable(n_heads=4, n_kv_heads=2), {"n_heads": 4, "n_kv_heads": 2}),
        (LayerTable(qk_norm=False), {"qk_norm": False}),
        (LayerTable(attn_bias=True), {"attn_bias": True}),
    ],
)
def test_a_layer_is_as_its_table_says_and_else_as_the_model(table, expected):
    model = Model(dim=16, n_heads=8, n_kv_heads=2, qk_norm=True, layer=(table,))
    own = {"layer": (), "n_layers": 1, **expected}
    assert layers_of(model) == (model.model_copy(update=own),)


def test_unset_options_of_a_feed_forward_stay_those_of_the_model():
    table = LayerTable(feedforward=LayerFeedForward(flavor="glu", bias=False))
    common = FeedForward(flavor="grn", bias=True, factor=3, activation="relu")
    (only,) = layers_of(Model(feedforward=common, layer=(table,)))
    assert only.feedforward == FeedForward(
        flavor="glu", bias=False, factor=3, activation="relu"
    )


def test_tables_give_as_many_layers_as_they_repeat():
    model = Model(
        n_layers=8,
        layer=(LayerTable(repeat=2, n_heads=4), LayerTable(repeat=3)),
    )
    assert [one.n_heads for one in layers_of(model)] == [4, 4, 8, 8, 8]
    assert {one.n_layers for one in layers_of(model)} == {5}
    assert len(layers_of(Model(n_layers=3))) == 3


@given(models(), st.lists(st.tuples(feedforwards, st.booleans()), max_size=3))
@settings(deadline=None, max_examples=30)
def test_weights_of_layers_that_differ_are_those_of_each_layer_built_alone(
    model, parts
):
    tables = tuple(
        LayerTable(
            n_heads=1,
            qk_norm=norm,
            feedforward=LayerFeedForward(
                flavor=part.flavor, bias=part.bias, factor=part.factor
            ),
        )
        for part, norm in parts
    )
    model = model.model_copy(update={"layer": tables})
    found = {
        name: shape
        for name, shape in tensors_of(model, 7).items()
        if name.startswith("layers.")
    }
    expected = {
        f"layers.{number}.{name}": shape
        for number, one in enumerate(layers_of(model))
        for name, shape in shapes(layer(one, {})).items()
    }
    assert list(found.items()) == list(expected.items())


def test_every_weight_of_attention_is_told_from_its_norms():
    assert part_of("layers.3.attention.query_norm.weight") == "norms"
    assert part_of("layers.3.attention.output.bias") == "attention"
    assert part_of("layers.3.feedforward.up.bias") == "feed-forward"
    assert part_of("output.weight") == "output"
