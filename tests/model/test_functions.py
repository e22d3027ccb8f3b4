"""Activations and gates of others: what a model can use, and what it cannot."""

import json
import sys
from typing import Any

import pytest
import torch

from slangmod.errors import DataError, SettingsError
from slangmod.model import build_model, load_model, save_model
from slangmod.model.functions import function_of

MODULE = """\
import torch
from torch import nn


class Soft(nn.Module):
    # Mixes the features of a token, which is fine.
    def forward(self, x):
        return x.softmax(dim=-1)


class Shifted(nn.Module):
    # Each token sees the next.
    def forward(self, x):
        return torch.cat((x[:, 1:], x[:, :1]), dim=1)


class Mean(nn.Module):
    # Each sequence sees the others.
    def forward(self, x):
        return x - x.mean(dim=0)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * self.scale


class Stored(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(1))

    def forward(self, x):
        return x * self.scale


class Sign(nn.Module):
    def forward(self, x):
        return x > 0


class Random(nn.Module):
    # Draws when it is made and where it trains.
    def __init__(self):
        super().__init__()
        self.share = float(torch.rand(()))

    def forward(self, x):
        return x * torch.rand(()) if self.training else x * self.share
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The name of a module with activations of somebody."""
    (tmp_path / "mine_of_model.py").write_text(MODULE, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "mine_of_model"
    sys.modules.pop("mine_of_model", None)


def function(word: str) -> torch.nn.Module:
    return function_of("model.feedforward.gate", word, ["mine_of_model"])


def test_a_function_is_a_module_that_trains(mine) -> None:
    found = function(f"{mine}:Soft")
    assert found.training
    x = torch.randn(2, 3, 5)
    assert torch.equal(found(x), x.softmax(-1))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("torch.nn:GLU", r"makes \[2, 4, 3\] of \[2, 4, 6\]; the shape must stay"),
        ("torch.nn:Flatten", "the shape must stay"),
        ("torch.nn:PReLU", "has weights of its own"),
        ("torch.nn:Softmax", "mixes tokens"),
        ("torch.nn:Linear", "cannot be made without arguments: TypeError"),
        ("torch.nn:Module", "a trial on a small tensor fails: NotImplementedError"),
        ("torch.nn.functional:gelu", "gelu is no class"),
        ("torch.optim:SGD", "must be a subclass of torch's Module"),
        ("mine_of_model:Shifted", "mixes tokens"),
        ("mine_of_model:Mean", "mixes tokens"),
        ("mine_of_model:Scaled", "has weights of its own"),
        ("mine_of_model:Stored", "has weights of its own"),
        ("mine_of_model:Sign", "does not give a tensor of numbers"),
        ("yours:Soft", r"plugins\.allow"),
    ],
)
def test_what_a_model_cannot_use_is_refused_in_one_line(
    mine, name: str, reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        function(name)
    (problem,) = caught.value.problems
    assert problem.startswith(f'model.feedforward.gate = "{name}": ')
    assert "\n" not in problem


def test_trying_a_function_leaves_chance_alone(mine) -> None:
    before = torch.get_rng_state()
    function(f"{mine}:Random")
    assert torch.equal(torch.get_rng_state(), before)


TWINS = {
    "elu": "ELU",
    "gelu": "GELU",
    "mish": "Mish",
    "relu": "ReLU",
    "sigmoid": "Sigmoid",
    "swish": "SiLU",
    "none": "Identity",
}


@pytest.mark.parametrize("flavor", ["vanilla", "glu", "grn"])
@pytest.mark.parametrize("word", TWINS)
def test_a_class_computes_what_its_word_does(tiny, flavor: str, word: str) -> None:
    ids = torch.randint(11, (2, 6))
    logits = []
    for gate in (word, f"torch.nn:{TWINS[word]}"):
        part = {"flavor": flavor, "gate": gate}
        if word not in ("none", "sigmoid"):
            part["activation"] = gate
        torch.manual_seed(0)
        logits.append(build_model(tiny(model={"feedforward": part}), 11).eval()(ids))
    assert torch.equal(*logits)


def test_functions_of_others_know_training_from_evaluation(tiny, mine) -> None:
    part = {"flavor": "glu", "gate": f"{mine}:Random"}
    plugins = {"allow": (mine,)}
    model = build_model(tiny(model={"feedforward": part}, plugins=plugins), 11)
    gates = [layer.feedforward.between.gate for layer in model.layers]
    assert all(gate.training for gate in gates)
    assert not any(gate.training for gate in (model.eval(), gates)[1])


@pytest.fixture
def saved(tiny: Any, tmp_path: Any, mine: str) -> Any:
    """A model with an activation of somebody, and the folder it is in."""
    part = {"activation": f"{mine}:Soft"}
    settings = tiny(model={"feedforward": part}, plugins={"allow": (mine,)})
    model = build_model(settings, 11)
    save_model(tmp_path / "model", model, b"{}")
    return model, tmp_path / "model"


def test_a_model_is_loaded_with_the_class_it_was_saved_with(saved, mine) -> None:
    model, folder = saved
    described = json.loads((folder / "config.json").read_text())["model"]
    assert described["feedforward"]["activation"] == f"{mine}:Soft"
    ids = torch.randint(11, (2, 6))
    loaded = load_model(folder, [mine])
    assert torch.equal(loaded(ids), model.eval()(ids))
    assert loaded.config == model.config


def test_a_folder_imports_nothing_on_its_own_word(saved, mine) -> None:
    _, folder = saved
    del sys.modules[mine]
    with pytest.raises(DataError, match=r"plugins\.allow") as caught:
        load_model(folder)
    assert mine not in sys.modules
    start = f"{folder / 'config.json'}: model.feedforward.activation: "
    assert str(caught.value).startswith(start)


def test_a_class_that_is_gone_is_told_with_the_file(saved, mine) -> None:
    _, folder = saved
    path = folder / "config.json"
    path.write_text(path.read_text().replace(":Soft", ":Gone"))
    (folder / ".slangmod.json").unlink()
    with pytest.raises(DataError, match="there is no Gone") as caught:
        load_model(folder, [mine])
    assert str(caught.value).startswith(f"{path}: ")
