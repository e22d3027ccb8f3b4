"""Optimizers of others: built like ours, and refused where they break a promise."""

import sys
from typing import Any

import pytest
import torch

from slangmod.errors import SettingsError
from slangmod.model import build_model
from slangmod.model.build import skeleton
from slangmod.optim import build_optimizer, check_optimizer
from slangmod.settings.free import FreeTable
from slangmod.settings.sections import Group

CPU = torch.device("cpu")

MODULE = """\
import torch
from torch.optim import SGD, Optimizer


class Plain(Optimizer):
    # Descent by hand; ``pull`` is what it adds to each weight.
    def __init__(self, params, lr, pull=0.0):
        if pull < 0:
            raise ValueError("pull is\\nnegative")
        super().__init__(params, {"lr": lr, "pull": pull})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                self.move(p, group)

    def move(self, p, group):
        p.sub_(group["lr"] * p.grad + group["pull"])


class Counting(Plain):
    # Remembers outside of its state.
    count = 0

    def move(self, p, group):
        self.count += 1
        p.sub_(group["lr"] * p.grad * self.count)


class InGroups(Plain):
    # Remembers in its groups.
    def move(self, p, group):
        group["count"] = group.get("count", 0) + 1
        p.sub_(group["lr"] * p.grad * group["count"])


class Lists(Plain):
    # Remembers what no file holds.
    def move(self, p, group):
        self.state[p]["past"] = [p.clone()]


class Whole(Plain):
    # Remembers something of all weights together.
    def move(self, p, group):
        self.state["all"] = {"count": 1}


class Endless(Plain):
    def move(self, p, group):
        self.state[p]["best"] = float("inf")


class Closure(Plain):
    def step(self, closure):
        closure()


class Sound(Plain):
    # Remembers a tensor and a number.
    def move(self, p, group):
        state = self.state[p]
        state.setdefault("count", 0)
        state["count"] += 1
        state["sum"] = state.get("sum", 0) + p.grad
        p.sub_(group["lr"] * state["sum"] / state["count"])
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The name of a module with optimizers of somebody."""
    (tmp_path / "mine_of_optim.py").write_text(MODULE, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield "mine_of_optim"
    sys.modules.pop("mine_of_optim", None)


def settings_of(tiny: Any, word: str, **optimizer: Any) -> Any:
    allow = {"allow": ("mine_of_optim",)}
    options = FreeTable(optimizer.pop("options", {}))
    change = {"optimizer": word, "learning_rate": 0.01}
    return tiny(
        train=change, optimizer={"options": options, **optimizer}, plugins=allow
    )


def check(settings: Any) -> None:
    model = skeleton(settings.model, 11)
    check_optimizer(settings, model, CPU)


def walked(settings: Any, make: Any = build_optimizer) -> dict[str, torch.Tensor]:
    """The weights after five steps by random gradients."""
    torch.manual_seed(0)
    model = build_model(settings, 11)
    optimizer = make(settings, model)
    for _ in range(5):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
    return model.state_dict()


TWINS = {
    "adamw": ("torch.optim:AdamW", {"fused": True}),
    "adam": ("torch.optim:Adam", {"fused": True}),
    "sgd": ("torch.optim:SGD", {}),
    "momentum": ("torch.optim:SGD", {"momentum": 0.9}),
    "nag": ("torch.optim:SGD", {"momentum": 0.9, "nesterov": True}),
    "adafactor": ("torch.optim:Adafactor", {}),
    "adamax": ("torch.optim:Adamax", {}),
    "bfgs": ("slangmod.optim.bfgs:LBFGS", {"warmup": 2, "history": 3}),
}
"""Words of ours, the same as a class, and what we give it."""


@pytest.mark.parametrize("name", TWINS)
def test_a_class_takes_the_steps_of_its_word(tiny, name: str) -> None:
    word, options = TWINS[name]
    twin = settings_of(tiny, word, options=options)
    if name in ("adam", "adamax"):  # which have a decay, that ours leave alone
        twin = settings_of(tiny, word, options=options, weight_decay=0.0)
    own = {"bfgs_warmup": 2, "history": 3} if name == "bfgs" else {}
    change = {"optimizer": name, "learning_rate": 0.01}
    ours = walked(tiny(train=change, optimizer=own))
    theirs = walked(twin)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_decay_comes_in_with_the_groups_where_there_is_any(tiny, mine) -> None:
    settings = settings_of(tiny, "torch.optim:RAdam", weight_decay=0.3)
    groups = build_optimizer(settings, build_model(settings, 11)).param_groups
    assert {g["kind"]: g["weight_decay"] for g in groups} == {"hidden": 0.3, "rest": 0}
    settings = settings_of(tiny, f"{mine}:Plain")
    groups = build_optimizer(settings, build_model(settings, 11)).param_groups
    assert all("weight_decay" not in group for group in groups)


def test_groups_have_arguments_of_the_class(tiny, mine) -> None:
    own = Group(match="embedding.*", momentum=0.5, learning_rate=0.0)
    settings = settings_of(tiny, "torch.optim:SGD", group=(own,))
    check(settings)
    optimizer = build_optimizer(settings, build_model(settings, 11))
    found = {g["number"]: (g["momentum"], g["lr"]) for g in optimizer.param_groups}
    assert found == {0: (0, 0.01), 1: (0.5, 0.0)}


@pytest.mark.parametrize(
    "word",
    [
        "torch.optim:RAdam",
        "torch.optim:ASGD",
        "torch.optim:NAdam",
        "torch.optim:Rprop",
        "torch.optim:Adagrad",
        "slangmod.optim.bfgs:LBFGS",
        "mine_of_optim:Plain",
        "mine_of_optim:Sound",
    ],
)
def test_a_sound_class_passes_the_trial(tiny, mine, word: str) -> None:
    before = torch.get_rng_state()
    check(settings_of(tiny, word))
    assert torch.equal(torch.get_rng_state(), before)


FAULTS = [
    (
        "Plain",
        {"pull": -1.0},
        "refuses these weights or options: ValueError: pull is n",
    ),
    ("Plain", {"push": 1.0}, "refuses these weights or options: TypeError"),
    ("Counting", {}, "does not go on with the same bits once it was saved"),
    ("InGroups", {}, "does not go on with the same bits once it was saved"),
    ("Lists", {}, "a trial on small weights fails: TypeError"),
    ("Whole", {}, "a trial on small weights fails: ValueError: the state of the opt"),
    ("Endless", {}, "a trial on small weights fails: ValueError"),
    ("Closure", {}, "a trial on small weights fails: TypeError"),
]


@pytest.mark.parametrize(("name", "options", "reason"), FAULTS)
def test_a_class_that_breaks_a_promise_is_refused_in_one_line(
    tiny, mine, name, options, reason
) -> None:
    settings = settings_of(tiny, f"{mine}:{name}", options=options)
    with pytest.raises(SettingsError) as caught:
        check(settings)
    (problem,) = caught.value.problems
    assert problem.startswith(f'train.optimizer = "{mine}:{name}": {reason}')
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("torch.optim:LBFGS", "doesn't support per-parameter options"),
        ("torch.optim:Muon", "only supports 2D"),
        ("torch.optim:SparseAdam", "does not support dense gradients"),
        ("torch.optim:Optimizer", "unexpected keyword argument 'lr'"),
    ],
)
def test_classes_of_torch_that_cannot_train_a_model_say_why(
    tiny, word: str, reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason):
        check(settings_of(tiny, word))


def test_weights_that_do_not_stand_still_are_told(tiny, mine) -> None:
    own = Group(match="embedding.*", learning_rate=0.0)
    settings = settings_of(tiny, f"{mine}:Plain", group=(own,), options={"pull": 1.0})
    with pytest.raises(SettingsError, match="even at a learning rate of 0"):
        check(settings)


def test_a_decay_that_the_class_has_not_is_refused(tiny, mine) -> None:
    for change in (
        {"weight_decay": 0.3},
        {"group": (Group(match="embedding.*", weight_decay=0.3),)},
    ):
        with pytest.raises(SettingsError, match="has no weight_decay"):
            check(settings_of(tiny, f"{mine}:Plain", **change))
