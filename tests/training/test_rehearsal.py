import math

import pytest
import torch

from slangmod.commands.session import build_objective
from slangmod.model import build_model
from slangmod.model.build import skeleton
from slangmod.optim import build_optimizer
from slangmod.optim.optimizers import OPTIMIZERS
from slangmod.settings.tensors import tensors_of
from slangmod.training.rehearsal import (
    ACTIVATIONS,
    COPIES,
    GRADIENTS,
    LOGITS,
    OPTIMIZER,
    PARTS,
    WEIGHTS,
    rehearse,
    watch_steps,
)
from slangmod.training.state import TrainState
from tests.cases import mostly_slow

CPU = torch.device("cpu")
VOCAB = 13

MODELS = {
    "plain": {},
    "float32": {"data": {"precision": "float32"}},
    "no dropout": {"model": {"dropout": 0.0}},
    "rotary, glu, rms": {
        "model": {
            "positions": "rotary",
            "norm_cls": "rms",
            "qk_norm": True,
            "feedforward": {"flavor": "glu"},
        }
    },
    "learnable, grn, untied": {
        "model": {
            "positions": "learnable",
            "tie_embeddings": False,
            "norm_first": False,
            "n_kv_heads": 1,
            "feedforward": {"flavor": "grn", "bias": True},
        }
    },
    "accumulated": {"train": {"step_freq": 3}},
    "recomputed": {"train": {"activation_checkpointing": True}},
    "windows, documents": {
        "data": {"packing": "mask"},
        "model": {"attention_window": 3, "positions": "learnable"},
    },
}


def weights_bytes(settings):
    tables = 4 * settings.model.context * settings.model.dim
    own = 4 * sum(map(math.prod, tensors_of(settings.model, VOCAB).values()))
    return own + tables * (settings.model.positions in ("vanilla", "sinusoidal"))


FIRST = ("plain", "rotary, glu, rms", "accumulated")


@pytest.mark.parametrize("name", mostly_slow(MODELS, FIRST))
def test_what_is_rehearsed_is_what_real_tensors_take(tiny, name):
    settings = tiny(**{"data": {"precision": "bfloat16"}, **MODELS[name]})
    rehearsed = rehearse(settings, VOCAB, CPU, build_objective)
    end = 0 if settings.data.packing == "mask" else None
    model = skeleton(settings.model, VOCAB, end=end)
    real = watch_steps(settings, model, VOCAB, CPU, build_objective)
    assert rehearsed.at_peak == real.at_peak
    sizes, real_sizes = (
        sorted(size for _, size in one.events) for one in (rehearsed, real)
    )
    assert sizes == real_sizes


@pytest.mark.parametrize("name", mostly_slow(OPTIMIZERS, ("adamw", "adafactor")))
def test_every_optimizer_can_be_rehearsed(tiny, name):
    settings = tiny(train={"optimizer": name}, model={"n_layers": 1})
    rehearsed = rehearse(settings, VOCAB, CPU, build_objective)
    model = skeleton(settings.model, VOCAB)
    real = watch_steps(settings, model, VOCAB, CPU, build_objective)
    assert rehearsed.at_peak == real.at_peak


@pytest.mark.parametrize(
    ("name", "copies"), [("adamw", 2), ("adam", 2), ("momentum", 1), ("sgd", 0)]
)
def test_the_optimizer_holds_so_many_copies_of_the_weights(tiny, name, copies):
    settings = tiny(train={"optimizer": name, "batch_size": 64})
    held = rehearse(settings, VOCAB, CPU, build_objective).at_peak
    weights = 4 * sum(map(math.prod, tensors_of(settings.model, VOCAB).values()))
    scalars = 4 * len(tensors_of(settings.model, VOCAB)) * (copies == 2)
    assert held[OPTIMIZER] == copies * weights + scalars


def test_weights_are_held_once_with_their_tables(tiny):
    settings = tiny(train={"batch_size": 64})
    held = rehearse(settings, VOCAB, CPU, build_objective).at_peak
    assert held[WEIGHTS] == weights_bytes(settings)
    assert set(held) == set(PARTS)


def test_gradients_are_held_at_the_peak_only_where_they_are_accumulated(tiny):
    once = rehearse(tiny(train={"batch_size": 64}), VOCAB, CPU, build_objective)
    settings = tiny(train={"batch_size": 64, "step_freq": 2})
    twice = rehearse(settings, VOCAB, CPU, build_objective)
    tensors = tensors_of(settings.model, VOCAB)
    last_norm = 4 * 2 * settings.model.dim  # the first gradients that there are
    assert once.at_peak[GRADIENTS] <= last_norm
    assert twice.at_peak[GRADIENTS] == 4 * sum(map(math.prod, tensors.values()))


@pytest.mark.parametrize(
    "name", mostly_slow(sorted(MODELS.keys() - {"recomputed"}), FIRST)
)
def test_all_that_autograd_saves_is_among_what_is_held(tiny, name):
    settings = tiny(**{"data": {"precision": "bfloat16"}, **MODELS[name]})
    settings = settings.replace(**{"train.batch_size": 32})
    model = build_model(settings, VOCAB, end=0)
    objective = build_objective(
        settings, TrainState(model, build_optimizer(settings, model)), CPU
    )
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    saved = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    ids = torch.zeros(32, settings.data.seq_len, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = objective(ids, ids)
    size = sum(size for size, _ in saved.values())
    held = rehearse(settings, VOCAB, CPU, build_objective).at_peak
    passing = held[ACTIVATIONS] + held[LOGITS]
    assert loss.isfinite()
    # Besides what is saved, the peak holds the logits' gradient and its copies.
    assert size <= passing <= size + 4 * 4 * ids.numel() * VOCAB + size / 2


def test_an_average_is_a_copy_of_all_weights(tiny):
    settings = tiny(train={"batch_size": 64, "ema": 0.9})
    weights = 4 * sum(map(math.prod, tensors_of(settings.model, VOCAB).values()))
    sums_of_state = 6 * 8
    held = rehearse(settings, VOCAB, CPU, build_objective).at_peak
    assert held[COPIES] == weights + sums_of_state


def test_logits_are_told_from_other_activations(tiny):
    settings = tiny(train={"batch_size": 32}, model={"dim": 16})
    few = rehearse(settings, 29, CPU, build_objective).at_peak
    many = rehearse(settings, 2900, CPU, build_objective).at_peak
    tokens = 32 * settings.data.seq_len
    assert many[LOGITS] % (2900 * tokens) == 0
    assert many[LOGITS] >= 4 * 2900 * tokens
    assert many[LOGITS] > 20 * few[LOGITS]
