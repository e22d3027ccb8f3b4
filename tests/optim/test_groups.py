"""Weights in groups of their own: who is in which, and with what options."""

from typing import Any

import pytest
import torch

from slangmod.errors import SettingsError
from slangmod.model import build_model
from slangmod.optim import build_optimizer, describe_groups
from slangmod.optim.groups import kinds_of, parameter_groups
from slangmod.optim.optimizers import OPTIMIZERS
from slangmod.settings import tensors
from slangmod.settings.optimizer_rules import OPTIONS, UNGROUPED
from slangmod.settings.sections import Group
from slangmod.training.step import set_learning_rate

GROUPED = [name for name in OPTIMIZERS if name not in UNGROUPED]


def grouped(tiny: Any, *groups: Group, optimizer: str = "adamw", **model: Any) -> Any:
    """A model, and its optimizer with ``groups``."""
    change = {"optimizer": optimizer, "learning_rate": 0.01}
    settings = tiny(train=change, optimizer={"group": groups}, model=model)
    torch.manual_seed(0)
    built = build_model(settings, 11)
    return built, build_optimizer(settings, built)


def take_steps(optimizer: Any, model: Any, steps: int = 5) -> None:
    """Steps by random gradients, at rates that fall."""
    torch.manual_seed(1)
    for step in range(steps):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        set_learning_rate(optimizer, 0.8**step)
        optimizer.step()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("positions", ["vanilla", "learnable"])
def test_kinds_by_module_are_kinds_by_name(tiny, tied: bool, positions: str) -> None:
    settings = tiny(
        model={"tie_embeddings": tied, "positions": positions, "attn_bias": True}
    )
    model = build_model(settings, 11)
    assert kinds_of(model) == tensors.kinds_of(settings.model, 11)


def test_every_weight_is_in_one_group_and_the_others_come_first(tiny) -> None:
    model = build_model(tiny(), 11)
    names = {id(p): name for name, p in model.named_parameters()}
    groups = parameter_groups(model, 0.1, ["layers.1.*", "*norm*"])
    found = [names[id(p)] for group in groups for p in group["params"]]
    assert sorted(found) == sorted(names.values())
    assert [group["number"] for group in groups] == [0, 0, 1, 1, 2]
    assert all(
        names[id(p)].startswith("layers.1.")
        for group in groups
        if group["number"] == 1
        for p in group["params"]
    )


def test_a_matched_weight_keeps_its_kind_and_its_decay(tiny) -> None:
    _, optimizer = grouped(tiny, Group(match="layers.0.*"))
    decays = {
        group["kind"]: group["weight_decay"]
        for group in optimizer.param_groups
        if group["number"] == 1
    }
    assert decays == {"hidden": 0.01, "rest": 0.0}


def test_a_group_may_decay_whatever_it_holds(tiny) -> None:
    groups = Group(match="*norm*", weight_decay=0.5), Group(match="*", weight_decay=0.0)
    _, optimizer = grouped(tiny, *groups)
    assert {g["number"]: g["weight_decay"] for g in optimizer.param_groups} == {
        1: 0.5,
        2: 0.0,
    }


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [("layer.*", "matches no weight"), ("*norm*", "only weights that earlier groups")],
)
def test_a_pattern_without_weights_is_an_error(tiny, pattern, reason) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        grouped(
            tiny, Group(match="layers.*"), Group(match="norm*"), Group(match=pattern)
        )
    assert str(caught.value).startswith(f'optimizer.group.3.match = "{pattern}": ')


@pytest.mark.parametrize("name", GROUPED)
def test_groups_of_different_rates_are_optimizers_of_their_own(tiny, name) -> None:
    """Bit for bit: the matched weights as if at 0.002, the others at 0.01."""
    own = Group(match="layers.1.*", learning_rate=0.002)
    model, optimizer = grouped(tiny, own, optimizer=name)
    take_steps(optimizer, model)
    for rate, matched in ((0.002, True), (0.01, False)):
        settings = tiny(train={"optimizer": name, "learning_rate": rate})
        torch.manual_seed(0)
        other = build_model(settings, 11)
        take_steps(build_optimizer(settings, other), other)
        for parameter, value in other.named_parameters():
            same = torch.equal(model.get_parameter(parameter), value)
            assert same == (parameter.startswith("layers.1.") == matched), parameter


OWN = {
    "weight_decay": 0.3,
    "betas": (0.5, 0.6),
    "eps": 1e-3,
    "momentum": 0.5,
    "rho": 0.5,
}
"""Another value than the default, for each option a group may have."""


def test_every_option_of_a_group_is_tested() -> None:
    assert OWN.keys() | {"match", "learning_rate"} == Group.model_fields.keys()


@pytest.mark.parametrize(
    ("name", "option"),
    [(name, one) for name in GROUPED for one in OPTIONS[name] if one in OWN],
)
def test_options_of_a_group_are_those_of_an_optimizer_of_its_own(
    tiny, name: str, option: str
) -> None:
    pattern = "layers.1.*"
    own = Group(match=pattern, **{option: OWN[option]})
    model, optimizer = grouped(tiny, own, optimizer=name)
    take_steps(optimizer, model)
    plain, without = grouped(tiny, Group(match=pattern), optimizer=name)
    take_steps(without, plain)
    change = {"optimizer": name, "learning_rate": 0.01}
    settings = tiny(train=change, optimizer={option: OWN[option]})
    torch.manual_seed(0)
    other = build_model(settings, 11)
    take_steps(build_optimizer(settings, other), other)
    key = "layers.1.feedforward.up.weight"
    if name != "muon" or option not in ("betas", "eps"):
        assert torch.equal(model.get_parameter(key), other.get_parameter(key))
        assert not torch.equal(model.get_parameter(key), plain.get_parameter(key))
    elsewhere = "layers.0.feedforward.up.weight"
    assert torch.equal(model.get_parameter(elsewhere), plain.get_parameter(elsewhere))


def test_options_of_muon_reach_the_rest_through_a_group(tiny) -> None:
    own = Group(match="embedding.*", betas=(0.5, 0.6), eps=1e-3)
    _, optimizer = grouped(tiny, own, optimizer="muon")
    (group,) = (one for one in optimizer.param_groups if one["number"] == 1)
    assert (group["betas"], group["eps"]) == ((0.5, 0.6), 1e-3)


@pytest.mark.parametrize("name", GROUPED)
def test_a_rate_of_0_freezes_to_the_bit(tiny, name: str) -> None:
    own = Group(match="embedding.*", learning_rate=0.0)
    model, optimizer = grouped(tiny, own, optimizer=name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    take_steps(optimizer, model)
    moved = {n for n, w in model.state_dict().items() if not torch.equal(w, before[n])}
    assert moved == before.keys() - {"embedding.weight"}


def test_nesterov_follows_the_momentum_of_the_group(tiny) -> None:
    own = Group(match="embedding.*", momentum=0.0)
    _, optimizer = grouped(tiny, own, optimizer="nag")
    found = {one["number"]: one["nesterov"] for one in optimizer.param_groups}
    assert found == {0: True, 1: False}


def test_a_schedule_scales_the_rate_of_each_group(tiny) -> None:
    own = Group(match="embedding.*", learning_rate=0.5)
    _, optimizer = grouped(tiny, own)
    set_learning_rate(optimizer, 0.25)
    assert {g["number"]: g["lr"] for g in optimizer.param_groups} == {
        0: 0.0025,
        1: 0.125,
    }
    assert optimizer.defaults["lr"] == 0.01


def test_the_log_says_which_group_took_which_weights(tiny) -> None:
    groups = (
        Group(match="embedding.*", learning_rate=0.0),
        Group(match="layers.1.*", learning_rate=3e-4),
    )
    model, optimizer = grouped(tiny, *groups)
    lines = describe_groups(optimizer, [group.match for group in groups])
    assert lines[0] == (
        'group 1 "embedding.*": 1 tensor, 176 weights, learning_rate 0, weight_decay 0'
    )
    inside = [p for n, p in model.named_parameters() if n.startswith("layers.1.")]
    count = f"{sum(p.numel() for p in inside):,}".replace(",", " ")
    assert lines[1] == (
        f'group 2 "layers.1.*": {len(inside)} tensors, {count} weights, '
        "learning_rate 0.0003, weight_decay 0 and 0.01"
    )
    assert lines[2].startswith("all others: ")
    assert lines[2].endswith("learning_rate 0.01, weight_decay 0 and 0.01")
