"""Each optimizer against published numbers and a plain loop of its formula."""

import math

import pytest
import torch
from torch import nn

from slangmod.model import build_model
from slangmod.optim.groups import parameter_groups
from slangmod.optim.optimizers import OPTIMIZERS, build_optimizer
from slangmod.settings.sections import Optimizer, Settings

QUADRATIC = {
    # (x0, x1) after 1, 2 and 5 steps of rate 0.01 on (x0**2 + 10 * x1**2) / 2
    # from (1, -2) in float64, one scalar tensor each, weight decay 0.01
    "adamw": (
        (0.9899, -1.9898),
        (0.979803785, -1.979602385),
        (0.949556741, -1.949033019),
    ),
    "adafactor": (
        (0.984188612, -1.984188612),
        (0.968633997, -1.968580206),
        (0.923429871, -1.922918451),
    ),
}
DECAY = {"adamw": 0.01, "adafactor": 0.0}


def test_each_optimizer_has_a_reference() -> None:
    assert set(QUADRATIC) == set(OPTIMIZERS)
    field = Settings.model_fields["train"].annotation.model_fields["optimizer"]
    assert set(OPTIMIZERS) == set(field.annotation.__args__)


@pytest.mark.parametrize("name", QUADRATIC)
def test_steps_on_a_quadratic(name: str) -> None:
    x = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    groups = [{"params": [x], "weight_decay": DECAY[name]}]
    optimizer = OPTIMIZERS[name](groups, 0.01, Optimizer())
    scale = torch.tensor([1.0, 10.0], dtype=torch.float64)
    path = []
    for _ in range(5):
        x.grad = scale * x.detach()
        optimizer.step()
        path.append(tuple(x.tolist()))
    for reached, expected in zip(
        (path[0], path[1], path[4]), QUADRATIC[name], strict=True
    ):
        assert reached == pytest.approx(expected, rel=2e-5)


def test_adamw_is_its_formula() -> None:
    """Loshchilov and Hutter 2019, algorithm 2, with every option set."""
    torch.manual_seed(0)
    start, gradients = torch.randn(3, 4), torch.randn(6, 3, 4)
    weight = nn.Parameter(start.clone())
    section = Optimizer(betas=(0.8, 0.95), eps=1e-6)
    groups = [{"params": [weight], "weight_decay": 0.1}]
    optimizer = OPTIMIZERS["adamw"](groups, 0.03, section)
    plain, first, second = start.double(), 0.0, 0.0
    for t, gradient in enumerate(gradients, start=1):
        weight.grad = gradient.clone()
        optimizer.step()
        g = gradient.double()
        first = 0.8 * first + 0.2 * g
        second = 0.95 * second + 0.05 * g**2
        plain = plain * (1 - 0.03 * 0.1)
        corrected = (second / (1 - 0.95**t)).sqrt() + 1e-6
        plain = plain - 0.03 * first / (1 - 0.8**t) / corrected
    assert torch.allclose(weight.double(), plain, rtol=1e-5, atol=1e-6)


def test_adafactor_is_its_formula() -> None:
    """Shazeer and Stern 2018, algorithms 4 and 5, for a matrix."""
    torch.manual_seed(0)
    start, gradients = torch.randn(3, 4), torch.randn(6, 3, 4)
    weight = nn.Parameter(start.clone())
    groups = [{"params": [weight], "weight_decay": 0.0}]
    optimizer = OPTIMIZERS["adafactor"](groups, 0.03, Optimizer())
    plain = start.double()
    row, column = torch.zeros(3, 1).double(), torch.zeros(1, 4).double()
    tiny = torch.finfo(torch.float32).eps
    for t, gradient in enumerate(gradients, start=1):
        weight.grad = gradient.clone()
        optimizer.step()
        g = gradient.double()
        share = t**-0.8
        row = row.lerp((g**2).mean(1, keepdim=True), share)
        column = column.lerp((g**2).mean(0, keepdim=True), share)
        moment = row @ column / max(row.mean().item(), tiny)
        update = g / moment.clamp_min(tiny**2).sqrt()
        rms = lambda x: x.norm().item() / math.sqrt(x.numel())  # noqa: E731
        rate = max(1e-3, rms(plain)) * min(0.03, 1 / math.sqrt(t))
        plain = plain - rate * update / max(1.0, rms(update))
    assert torch.allclose(weight.double(), plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_only_matrices_decay(tiny, tied: bool) -> None:
    model = build_model(
        tiny(model={"tie_embeddings": tied, "positions": "learnable"}), 11
    )
    names = {id(p): name for name, p in model.named_parameters()}
    groups = parameter_groups(model, 0.1)
    decayed = {names[id(p)] for p in groups[0]["params"]}
    spared = {names[id(p)] for p in groups[1]["params"]}
    assert decayed | spared == set(names.values())
    assert not decayed & spared
    assert all(
        "norm" in n or "bias" in n or "embedding" in n or "position" in n
        for n in spared
    )
    assert not any("norm" in n or "bias" in n or "embedding" in n for n in decayed)
    assert groups[1]["weight_decay"] == 0.0


def test_the_peak_rate_is_kept_beside_the_rate(tiny) -> None:
    settings = tiny(train={"learning_rate": 0.25})
    optimizer = build_optimizer(settings, build_model(settings, 11))
    assert {group["initial_lr"] for group in optimizer.param_groups} == {0.25}
