"""Activations that are computed again are the same, to the last bit."""

from typing import Any

import pytest
import torch
from torch import Tensor

from slangmod.commands.session import build_objective
from slangmod.data.dataset import Batch
from slangmod.model import Transformer, build_model
from slangmod.optim import build_optimizer
from slangmod.settings.sections import LayerTable, Settings
from slangmod.training.compiling import compiled_or_eager
from slangmod.training.device import reproducible
from slangmod.training.rehearsal import ACTIVATIONS, rehearse
from slangmod.training.state import TrainState

VOCAB, END = 23, 0
CPU = torch.device("cpu")

SETTINGS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bfloat16": {"data": {"precision": "bfloat16"}},
    "post-norm, learnt": {"model": {"norm_first": False, "positions": "learnable"}},
    "windows, documents": {
        "data": {"packing": "mask", "precision": "bfloat16"},
        "model": {
            "positions": "rotary",
            "qk_norm": True,
            "layer": (LayerTable(attention_window=2), LayerTable(n_kv_heads=1)),
        },
    },
}


def made(settings: Settings) -> tuple[Transformer, Any]:
    torch.manual_seed(0)
    model = build_model(settings, VOCAB, END)
    state = TrainState(model, build_optimizer(settings, model))
    return model, build_objective(settings, state, CPU)


def gradients(model: Transformer, objective: Any) -> dict[str, Tensor]:
    """The loss and all gradients of one mini-batch, by name."""
    torch.manual_seed(1)
    ids = torch.randint(VOCAB, (4, 8))
    model.zero_grad()
    loss = objective(ids, ids.roll(-1, 1))
    loss.backward()
    found = {name: weight.grad for name, weight in model.named_parameters()}
    return {"loss": loss.detach(), **found}  # type: ignore[dict-item]


def pair(tiny: Any, name: str) -> list[Settings]:
    settings = tiny(**SETTINGS[name]).replace(**{"model.dropout": 0.3})
    return [
        settings.replace(**{"train.activation_checkpointing": one})
        for one in (False, True)
    ]


@pytest.mark.parametrize("name", SETTINGS)
def test_gradients_are_the_same_bits_dropout_included(tiny: Any, name: str) -> None:
    plain, again = (gradients(*made(one)) for one in pair(tiny, name))
    for key, value in plain.items():
        assert torch.equal(value, again[key]), key


def test_layers_are_really_computed_twice(tiny: Any) -> None:
    for settings, times in zip(pair(tiny, "float32"), (1, 2), strict=True):
        model, objective = made(settings)
        calls: list[object] = []
        model.layers[0].feedforward.register_forward_hook(
            lambda *_, c=calls: c.append(0)
        )
        gradients(model, objective)
        assert len(calls) == times
        with torch.no_grad():
            objective(torch.ones(1, 8, dtype=torch.int64), torch.ones(1, 8).long())
        assert len(calls) == times + 1


def test_chance_goes_on_as_it_would_have(tiny: Any) -> None:
    draws = []
    for settings in pair(tiny, "float32"):
        gradients(*made(settings))
        draws.append(torch.rand(3))
    assert torch.equal(*draws)


@pytest.mark.slow
def test_less_is_held_and_it_is_foreseen(tiny: Any) -> None:
    held = []
    for settings in pair(tiny, "bfloat16"):
        larger = settings.replace(**{"train.batch_size": 32, "model.n_layers": 6})
        held.append(rehearse(larger, VOCAB, CPU, build_objective).at_peak[ACTIVATIONS])
    assert held[1] < held[0] / 2


@pytest.mark.slow
def test_compiled_the_same_is_dropped(tiny: Any) -> None:
    """Compilers round what is computed again in other places; chance is the same."""
    found = []
    with reproducible(enabled=True, threads=1):
        for settings in pair(tiny, "float32"):
            torch.compiler.reset()
            model, objective = made(settings)
            batch = Batch(*torch.randint(VOCAB, (2, 4, 8)))
            parameters = model.parameters()
            objective, compiled = compiled_or_eager(objective, batch, parameters)
            assert compiled
            found.append(gradients(model, objective))
    for key, value in found[0].items():
        torch.testing.assert_close(value, found[1][key], rtol=1e-4, atol=1e-5)
