import pytest
import torch

from slangmod.commands import fitting
from slangmod.commands.needs import needs_of, share_of, strategy_for
from slangmod.errors import SettingsError
from slangmod.settings.sections import Settings, Stage
from slangmod.settings.tensors import count_parameters

CPU = torch.device("cpu")
VOCAB = 300


def tiny(**more):
    content = {
        "data": {"seq_len": 8, "precision": "float32"},
        "model": {"dim": 16, "n_heads": 2, "n_layers": 2, "context": 16},
        "train": {"batch_size": 8},
    }
    return Settings.model_validate(content).replace(**more)


@pytest.mark.slow
def test_needs_are_those_of_a_device_with_its_own_rows():
    settings = tiny()
    total = 4 * count_parameters(settings.model, VOCAB)
    two, eight = (needs_of(settings, VOCAB, CPU, number) for number in (2, 8))
    tables = 4 * 16 * 16 + 64  # of positions, and what else is not learnt
    assert total <= two.weights <= total + tables
    assert two.gradients == total
    assert 2 * total <= two.optimizer <= 2 * total + 8 * 64  # and counts of steps
    assert two.outside + 2 * two.block == total
    assert (eight.weights, eight.optimizer) == (two.weights, two.optimizer)
    assert eight.activations < two.activations


def test_rows_that_cannot_be_divided_are_refused():
    assert share_of(tiny(), 4).train.batch_size == 2
    with pytest.raises(SettingsError, match=r"8: 3 devices .* 6 or 9 would fit"):
        share_of(tiny(), 3)
    with pytest.raises(SettingsError, match=r"8: 16 devices .* evenly; 16 would fit"):
        share_of(tiny(), 16)


@pytest.mark.slow
def test_the_memory_that_is_free_decides_and_neighbours_share_it(monkeypatch):
    settings = tiny()
    one = needs_of(settings, VOCAB, CPU, 2)
    held = one.weights + one.gradients + one.optimizer + one.activations
    for free, neighbours, strategy in (
        (None, 1, "ddp"),
        (2 * held, 1, "ddp"),
        (2 * held, 2, "fsdp"),
        (held // 2, 1, "fsdp"),
    ):
        monkeypatch.setattr(fitting, "free_bytes", lambda _, free=free: free)
        choice = strategy_for(settings, VOCAB, CPU, 2, neighbours)
        assert choice.strategy == strategy
        assert choice.why.startswith(f"{strategy}: ")


@pytest.mark.slow
def test_the_stage_that_needs_most_decides(monkeypatch):
    small = tiny()
    rows = ("train.batch_size", 512)
    stages = [Stage(steps=1), Stage(steps=1, changes=(rows,))]
    settings = small.model_copy(update={"stage": tuple(stages)})
    one = needs_of(small, VOCAB, CPU, 2)
    held = one.weights + one.gradients + one.optimizer + one.activations
    monkeypatch.setattr(fitting, "free_bytes", lambda _: 2 * held)
    assert strategy_for(small, VOCAB, CPU, 2, 1).strategy == "ddp"
    assert strategy_for(settings, VOCAB, CPU, 2, 1).strategy == "fsdp"
