import math
from typing import Any

import pytest
import torch
from torch.nn import functional

from slangmod.errors import UserError
from slangmod.model import Transformer, build_model
from slangmod.model.feedforward import FLAVORS
from slangmod.model.norms import NORMS
from slangmod.model.positions import POSITIONS
from slangmod.settings.sections import FeedForward, Model

VOCAB = 23

CHANGES: dict[str, Any] = {
    "dim": 8,
    "positions": "rotary",
    "context": 32,
    "n_heads": 4,
    "n_kv_heads": 1,
    "n_layers": 1,
    "attention_window": 2,
    "attn_bias": True,
    "dropout": 0.5,
    "norm_cls": "rms",
    "norm_bias": False,
    "norm_first": False,
    "qk_norm": True,
    "tie_embeddings": False,
    "logit_softcap": 0.5,
    "scale_grad_by_freq": True,
}
"""Another value than the default, for each key of [model] that shapes the model."""

INNER_CHANGES: dict[str, Any] = {
    "flavor": "glu",
    "activation": "relu",
    "gate": "sigmoid",
    "bias": True,
    "factor": 2,
}


def fresh(settings: Any) -> Transformer:
    """Equal seeds, so that only settings make a difference."""
    torch.manual_seed(0)
    model = build_model(settings, VOCAB)
    with torch.no_grad():  # biases of 0 would hide
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight += 0.1
    return model


def effects(model: Transformer) -> list[torch.Tensor]:
    """What can be seen of a model: its outputs in training, and its gradients."""
    ids = torch.tensor([[1, 2, 1, 1, 5, 7], [1, 9, 8, 1, 2, 3]])
    torch.manual_seed(0)
    logits = model(ids)
    functional.cross_entropy(logits.flatten(0, 1), ids.flatten()).backward()
    gradient = model.embedding.weight.grad
    assert gradient is not None
    return [logits.detach(), gradient]


def differs(one: Transformer, other: Transformer) -> bool:
    return any(
        a.shape != b.shape or not torch.allclose(a, b, rtol=1e-4, atol=1e-7)
        for a, b in zip(effects(one), effects(other), strict=True)
    )


def test_every_key_of_model_is_tested() -> None:
    elsewhere = {"compile", "feedforward", "layer", "zero_init"}
    assert CHANGES.keys() | elsewhere == Model.model_fields.keys()
    assert INNER_CHANGES.keys() == FeedForward.model_fields.keys()


def test_equal_settings_have_equal_effects(tiny: Any) -> None:
    assert not differs(fresh(tiny()), fresh(tiny()))


@pytest.mark.parametrize("key", sorted(CHANGES.keys() - {"context"}))
def test_every_key_of_model_has_an_effect(tiny: Any, key: str) -> None:
    changed = tiny(model={key: CHANGES[key]})
    assert differs(fresh(tiny()), fresh(changed))


@pytest.mark.parametrize("flavor", ["grn"])
@pytest.mark.parametrize("key", INNER_CHANGES)
def test_every_key_of_feedforward_has_an_effect(
    tiny: Any, flavor: str, key: str
) -> None:
    before = {"flavor": flavor}
    after = {**before, key: INNER_CHANGES[key]}
    one, other = (tiny(model={"feedforward": inner}) for inner in (before, after))
    assert differs(fresh(one), fresh(other))


@pytest.mark.parametrize("kind", POSITIONS)
def test_context_bounds_what_is_read(tiny: Any, kind: str) -> None:
    model = build_model(tiny(model={"context": 9, "positions": kind}), VOCAB)
    assert model(torch.zeros(1, 9, dtype=torch.int64)).shape == (1, 9, VOCAB)
    with pytest.raises(UserError, match=r"10 tokens, but the model sees 9"):
        model(torch.zeros(1, 10, dtype=torch.int64))


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dim", [16, 256])
def test_the_loss_begins_close_to_ln_vocab(
    tiny: Any, positions: str, norm_first: bool, tied: bool, dim: int
) -> None:
    torch.manual_seed(0)
    shape = {
        "dim": dim,
        "positions": positions,
        "norm_first": norm_first,
        "tie_embeddings": tied,
        "dropout": 0.0,
    }
    model = build_model(tiny(model=shape), 500)
    ids = torch.randint(500, (8, 33))
    logits = model(ids[:, :-1])
    loss = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    assert abs(loss.item() - math.log(500)) < 0.15


@pytest.mark.parametrize("norm_cls", NORMS)
@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_gradients_reach_every_weight(
    tiny: Any, norm_cls: str, flavor: str, norm_first: bool, tied: bool
) -> None:
    shape = {
        "positions": "learnable",
        "norm_cls": norm_cls,
        "norm_first": norm_first,
        "tie_embeddings": tied,
        "attn_bias": True,
        "qk_norm": True,
        "context": 6,
        "feedforward": {"flavor": flavor, "bias": True},
    }
    model = fresh(tiny(model=shape))
    effects(model)
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.any(), name


def test_pre_norm_leaves_the_residual_stream_alone(tiny: Any) -> None:
    model = fresh(tiny(model={"norm_first": True})).eval()
    with torch.no_grad():
        for layer in model.layers:
            layer.attention.output.weight.zero_()
            layer.feedforward.down.weight.zero_()
    layer, x = model.layers[0], torch.randn(2, 5, 16) * 7
    place = model.positions(0, 5)
    assert torch.equal(layer(x, place, None), x)
    ids = torch.randint(VOCAB, (1, 5))
    stream = model.embedding(ids) * model.positions.embedding_scale + place.at_input
    torch.testing.assert_close(model(ids), model.head(model.norm(stream)))


def test_post_norm_normalises_the_sum(tiny: Any) -> None:
    model = fresh(tiny(model={"norm_first": False, "norm_bias": False})).eval()
    assert model.norm is None
    x = model.layers[0](torch.randn(2, 5, 16) * 7, model.positions(0, 5), None)
    torch.testing.assert_close(x.mean(-1), torch.zeros(2, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(x.var(-1, correction=0), torch.ones(2, 5))


@pytest.mark.parametrize("norm_cls", NORMS)
@pytest.mark.parametrize("positions", POSITIONS)
def test_bfloat16_stays_close_to_float32(
    tiny: Any, positions: str, norm_cls: str
) -> None:
    shape = {"positions": positions, "norm_cls": norm_cls, "qk_norm": True, "dim": 64}
    model = fresh(tiny(model=shape)).eval()
    ids = torch.randint(VOCAB, (4, 32))
    exact = model(ids)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(ids)
    assert rounded.dtype == torch.bfloat16
    assert (rounded.float() - exact).norm() / exact.norm() < 0.02


def test_the_residual_stream_is_float32_under_autocast(tiny: Any) -> None:
    model = fresh(tiny())
    with torch.autocast("cpu", torch.bfloat16):
        assert model.hidden(torch.randint(VOCAB, (1, 4))).dtype == torch.float32
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_softcap_bounds_logits_smoothly(tiny: Any) -> None:
    cap = 3.0
    bounded = fresh(tiny(model={"logit_softcap": cap})).eval()
    free = fresh(tiny()).eval()
    hidden = torch.randn(4, 16) * 100
    raw, capped = free.head(hidden), bounded.head(hidden)
    assert raw.abs().max() > cap
    assert capped.abs().max() <= cap
    torch.testing.assert_close(capped, cap * torch.tanh(raw / cap))


def test_one_matrix_embeds_and_predicts_where_tied(tiny: Any) -> None:
    tied, untied = fresh(tiny()), fresh(tiny(model={"tie_embeddings": False}))
    assert tied.output is None
    assert untied.output is not None
    extra = untied.state_dict().keys() - tied.state_dict().keys()
    assert extra == {"output.weight"}
    hidden = torch.randn(2, 16)
    torch.testing.assert_close(tied.head(hidden), hidden @ tied.embedding.weight.T)


def test_dropout_falls_in_training_only(tiny: Any) -> None:
    model = fresh(tiny(model={"dropout": 0.5}))
    ids = torch.randint(VOCAB, (1, 6))
    assert not torch.equal(model(ids), model(ids))
    model.eval()
    assert torch.equal(model(ids), model(ids))


@pytest.mark.parametrize("place", ["input", "attention", "branches"])
def test_dropout_falls_on_input_attention_and_branches(tiny: Any, place: str) -> None:
    model = fresh(tiny(model={"dropout": 0.5}))
    for module in model.modules():  # leave the dropout of one place
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout *= place == "attention"
    model.dropout.share *= place == "input"
    for layer in model.layers:
        layer.dropout.share *= place == "branches"
    ids = torch.randint(VOCAB, (1, 6))
    assert not torch.equal(model(ids), model(ids))


def test_frequent_tokens_learn_less_where_asked(tiny: Any) -> None:
    shape = {"tie_embeddings": False, "dropout": 0.0}
    plain = fresh(tiny(model=shape))
    scaled = fresh(tiny(model={**shape, "scale_grad_by_freq": True}))
    (_, before), (_, after) = effects(plain), effects(scaled)
    torch.testing.assert_close(after[1], before[1] / 5)  # five times in the batch
    torch.testing.assert_close(after[7], before[7])  # once


@pytest.mark.slow
@pytest.mark.parametrize("positions", POSITIONS)
def test_the_model_compiles_as_one_graph(tiny: Any, positions: str) -> None:
    shape = {"positions": positions, "qk_norm": True, "logit_softcap": 5.0}
    model = fresh(tiny(model={**shape, "dropout": 0.5, "n_kv_heads": 1}))
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    ids = torch.randint(VOCAB, (2, 8))
    with torch.autocast("cpu", torch.bfloat16):
        compiled(ids).sum().backward()
        model.eval()
        torch.testing.assert_close(compiled(ids), model(ids))


def test_dropout_can_change_while_the_model_lives(tiny) -> None:
    model = build_model(tiny(model={"dropout": 0.5}), VOCAB)
    other = build_model(tiny(model={"dropout": 0.25}), VOCAB)
    other.load_state_dict(model.state_dict())
    ids = torch.arange(16).view(2, 8)
    model.set_dropout(0.25)
    outputs = []
    for one in (model, other):
        torch.manual_seed(0)
        outputs.append(one.train()(ids))
    assert torch.equal(*outputs)
    model.set_dropout(0.0)
    assert torch.equal(model.train()(ids), model.eval()(ids))
