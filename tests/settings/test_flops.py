import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from slangmod.model import build_model
from slangmod.settings.flops import flops_of_token
from slangmod.settings.sections import FeedForward, LayerTable, Model


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"tie_embeddings": False, "positions": "learnable"},
        {"n_kv_heads": 1, "feedforward": {"flavor": "glu"}},
        {"feedforward": {"flavor": "grn", "factor": 3}, "norm_first": False},
    ],
)
def test_products_are_those_that_torch_counts(tiny, change):
    settings = tiny(model={"dropout": 0.1, **change})
    vocab, (rows, seq) = 19, (3, 8)
    model = build_model(settings, vocab)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(rows, seq, dtype=torch.int64)).sum().backward()
    counted = flops_of_token(settings.model, vocab, seq)
    # Plain attention multiplies all pairs of tokens, of which about half are needed.
    all_pairs = counted.attention * 2 * seq // (seq + 1)
    assert counter.get_total_flops() == rows * seq * (counted.weights + all_pairs)


@pytest.mark.parametrize("window", [1, 2, 7, 8, 9])
def test_a_window_counts_the_pairs_that_it_leaves(window):
    model = Model(dim=8, n_heads=2, n_layers=3, attention_window=window)
    pairs = sum(min(place + 1, window) for place in range(8))
    per_token = flops_of_token(model, 5, 8).attention
    assert per_token == round(3 * 12 * 8 * pairs / 8)


def test_windows_of_single_layers_count_as_they_are():
    tables = (LayerTable(attention_window=2), LayerTable())
    common = {"dim": 8, "n_heads": 2, "n_layers": 2}
    local, whole = (Model(**common, attention_window=one) for one in (2, None))
    mixed = flops_of_token(Model(**common, layer=tables), 5, 8)
    counted = [flops_of_token(one, 5, 8).total for one in (local, whole)]
    assert 2 * mixed.total == sum(counted)


def test_each_layer_counts_as_it_is():
    wide, narrow = FeedForward(factor=4), FeedForward(factor=1)
    common = {"dim": 8, "n_heads": 2, "n_layers": 2}
    tables = (LayerTable(), LayerTable.model_validate({"feedforward": {"factor": 1}}))
    both = flops_of_token(Model(**common, feedforward=wide, layer=tables), 5, 4).total
    first = flops_of_token(Model(**common, feedforward=wide), 5, 4).total
    second = flops_of_token(Model(**common, feedforward=narrow), 5, 4).total
    assert 2 * both == first + second
