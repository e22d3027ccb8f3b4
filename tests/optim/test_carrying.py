"""Moments are handed on to the last bit; rates and options are the new ones."""

import pytest
import torch

from slangmod.model import build_model
from slangmod.optim import build_optimizer, carry_over
from slangmod.optim.optimizers import OPTIMIZERS
from slangmod.settings.moments import outdated_by
from slangmod.settings.optimizer_rules import OPTIONS

OTHER = {
    "weight_decay": 0.5,
    "betas": (0.5, 0.7),
    "eps": 0.25,
    "momentum": 0.25,
    "rho": 0.125,
    "bfgs_warmup": 1,
}


def trained(settings, steps: int = 3):
    """A model and its optimizer after some steps along random gradients."""
    torch.manual_seed(0)
    model = build_model(settings, 11)
    optimizer = build_optimizer(settings, model)
    for _ in range(steps):
        walk(model, optimizer)
    return model, optimizer


def walk(model, optimizer) -> None:
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight)
    optimizer.step()


def plain(optimizer) -> list:
    return [
        {key: torch.as_tensor(value).clone() for key, value in entries.items()}
        for entries in optimizer.state.values()
    ]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moments_go_over_and_options_do_not(tiny, name: str) -> None:
    momentum = {"optimizer": {"momentum": 0.5}} if name == "rmsprop" else {}
    before = tiny(train={"optimizer": name}, **momentum)
    model, old = trained(before)
    moments = plain(old)
    options = {key: OTHER[key] for key in OPTIONS[name] if key in OTHER}
    change = {"train": {"optimizer": name, "learning_rate": 0.125}}
    after = tiny(**change, optimizer=options)
    assert outdated_by(before, after) is None
    new = build_optimizer(after, model)
    carry_over(old, new)
    weights = len(list(model.parameters()))
    assert len(new.state) == len(moments) == (0 if name == "sgd" else weights)
    for one, other in zip(moments, plain(new), strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(value, other[key]) for key, value in one.items())
    for group in new.param_groups:
        assert group["lr"] == group["initial_lr"] == 0.125
        for option, key in (("betas", "betas"), ("rho", "alpha"), ("eps", "eps")):
            if option in options and key in group and group.get("kind") != "hidden":
                assert group[key] == OTHER[option]
    walk(model, new)  # and it can go on from there
    assert all(weight.isfinite().all() for weight in model.parameters())


def test_the_next_step_is_that_of_one_optimizer_whose_options_changed(tiny) -> None:
    """Adam by hand: moments of three steps, then a fourth with other betas."""
    settings = tiny(train={"optimizer": "adam"})
    model, old = trained(settings)
    weight = next(model.parameters())
    m, v = (old.state[weight][key].clone() for key in ("exp_avg", "exp_avg_sq"))
    start = weight.detach().clone()
    change = {"train": {"optimizer": "adam", "learning_rate": 0.5}}
    new = build_optimizer(tiny(**change, optimizer={"betas": (0.5, 0.75)}), model)
    carry_over(old, new)
    walk(model, new)
    m = 0.5 * m + 0.5 * weight.grad
    v = 0.75 * v + 0.25 * weight.grad**2
    unbiased = (v / (1 - 0.75**4)).sqrt() + 1e-8
    expected = start - 0.5 * m / (1 - 0.5**4) / unbiased
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-5, atol=1e-6)
