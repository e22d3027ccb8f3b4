"""Each optimizer against published numbers and a plain loop of its formula."""

import inspect
import math

import pytest
import torch
from torch import nn

from slangmod.model import build_model
from slangmod.optim.bfgs import LBFGS
from slangmod.optim.groups import parameter_groups
from slangmod.optim.optimizers import OPTIMIZERS, build_optimizer
from slangmod.settings.rules import OPTIONS
from slangmod.settings.sections import Train
from slangmod.training.step import set_learning_rate

QUADRATIC = {
    # (x0, x1) after 1, 2 and 5 steps of rate 0.01 on (x0**2 + 10 * x1**2) / 2
    # from (1, -2) in float64; None: not in the published table
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
    "sgd": ((0.99, -1.8), (0.9801, -1.62), (0.950990050, -1.180980000)),
    "momentum": ((0.99, -1.8), (0.9711, -1.44), (0.871634026, 0.058320000)),
    "nag": ((0.981, -1.62), (0.954261, -1.1502), (0.838440763, 0.209163368)),
    "adagrad": (
        (0.99, -1.99),
        (0.982964554, -1.982946676),
        (0.967873873, -1.967778092),
    ),
    "rmsprop": (
        (0.968377225, -1.968377223),
        (0.945788027, -1.945609637),
        (0.895506713, -1.894508777),
    ),
    "adadelta": (  # at a rate of 1
        (0.999552786, -1.999552786),
        (0.999099974, -1.999099925),
        (0.997722574, -1.997721938),
    ),
    "adam": (
        (0.99, -1.99),
        (0.980002746, -1.980001338),
        (0.950046161, -1.950022362),
    ),
    "adamax": (
        (0.99, -1.99),
        (0.980042674, -1.980016332),
        (0.950443523, -1.950172173),
    ),
    "nadam": (None, None, (0.959760157, -1.959632209)),
    "rprop": ((0.99, -1.99), (0.978, -1.978), (0.925584, -1.925584)),
    # the plain descent of its first steps
    "bfgs": ((0.99, -1.8), (0.9801, -1.62), (0.950990050, -1.180980000)),
    # no hidden matrix: all by adamw
    "muon": (
        (0.9899, -1.9898),
        (0.979803785, -1.979602385),
        (0.949556741, -1.949033019),
    ),
}
DECAY = {"adamw": 0.01, "muon": 0.01}


def walk(optimizer, x: nn.Parameter, steps: int = 5) -> list[tuple[float, ...]]:
    """Where ``steps`` steps on the quadratic lead."""
    scale = torch.tensor([1.0, 10.0], dtype=torch.float64)
    path = []
    for _ in range(steps):
        x.grad = scale * x.detach()
        optimizer.step()
        path.append(tuple(x.tolist()))
    return path


def start() -> nn.Parameter:
    return nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))


def test_each_optimizer_has_a_reference() -> None:
    forms = Train.model_json_schema()["properties"]["optimizer"]["anyOf"]
    assert set(QUADRATIC) == set(OPTIMIZERS) == set(OPTIONS)
    assert set(OPTIMIZERS) == set(forms[0]["enum"])
    assert set(TORCH) | set(OWN) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_options_of_each_optimizer_are_those_that_settings_allow(name) -> None:
    allowed = [option for option in OPTIONS[name] if option != "weight_decay"]
    taken = list(inspect.signature(OPTIMIZERS[name]).parameters)[2:]
    assert sorted(taken) == sorted(allowed)


@pytest.mark.parametrize("name", QUADRATIC)
def test_steps_on_a_quadratic(name: str) -> None:
    x = start()
    groups = [{"params": [x], "weight_decay": DECAY.get(name, 0.0)}]
    path = walk(OPTIMIZERS[name](groups, 1.0 if name == "adadelta" else 0.01), x)
    for reached, expected in zip(
        (path[0], path[1], path[4]), QUADRATIC[name], strict=True
    ):
        # five systems agree to 1e-9; torch's Adafactor is single precision in parts
        tolerance = 2e-5 if name in ("adafactor", "adamw", "muon") else 2e-9
        assert expected is None or reached == pytest.approx(expected, rel=tolerance)


TORCH = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.0),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.01, rho=0.95, eps=1e-8),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.9),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "nag": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
}
OWN = ("bfgs", "muon")
"""Compared with torch by themselves, below."""


@pytest.mark.parametrize("name", TORCH)
def test_a_model_takes_the_steps_that_torch_would(tiny, name: str) -> None:
    """The default options of [optimizer], but for the decay of weights."""
    change = {"optimizer": name, "learning_rate": 0.01}
    decay = {"weight_decay": 0.0} if "weight_decay" in OPTIONS[name] else {}
    settings = tiny(train=change, optimizer=decay)
    ours, theirs = build_model(settings, 11), build_model(settings, 11)
    theirs.load_state_dict(ours.state_dict())
    one, other = build_optimizer(settings, ours), TORCH[name](theirs.parameters())
    torch.manual_seed(0)
    for _ in range(5):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        one.step()
        other.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)


def test_options_reach_the_optimizer(tiny) -> None:
    cases = {
        "adam": ({"betas": (0.8, 0.9), "eps": 1e-6}, {}),
        "rmsprop": ({"rho": 0.8, "momentum": 0.5}, {"alpha": 0.8, "momentum": 0.5}),
        "adadelta": ({"rho": 0.8}, {}),
        "nag": ({"momentum": 0.0, "weight_decay": 0.3}, {"nesterov": False}),
        "bfgs": ({"history": 3, "bfgs_warmup": 0}, {"history": 3, "warmup": 0}),
        "sgd": ({"weight_decay": 0.2}, {}),
        "muon": ({"momentum": 0.8}, {"momentum": 0.8}),
    }
    for name, (options, expected) in cases.items():
        settings = tiny(train={"optimizer": name}, optimizer=options)
        group = build_optimizer(settings, build_model(settings, 11)).param_groups[0]
        renamed = options if not expected or name == "nag" else {}
        assert {**renamed, **expected}.items() <= group.items()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_matrices_decay_where_the_optimizer_has_decay(tiny, name: str) -> None:
    settings = tiny(train={"optimizer": name})
    groups = build_optimizer(settings, build_model(settings, 11)).param_groups
    decay = 0.01 if "weight_decay" in OPTIONS[name] else 0.0
    kinds = {"hidden": decay, "output": decay, "rest": 0.0}
    assert all(one.get("weight_decay", 0.0) == kinds[one["kind"]] for one in groups)


def test_adamw_is_its_formula() -> None:
    """Loshchilov and Hutter 2019, algorithm 2, with every option set."""
    torch.manual_seed(0)
    start, gradients = torch.randn(3, 4), torch.randn(6, 3, 4)
    weight = nn.Parameter(start.clone())
    groups = [{"params": [weight], "weight_decay": 0.1}]
    optimizer = OPTIMIZERS["adamw"](groups, 0.03, betas=(0.8, 0.95), eps=1e-6)
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
    optimizer = OPTIMIZERS["adafactor"](groups, 0.03)
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
    spared = {names[id(p)] for g in groups if g["kind"] == "rest" for p in g["params"]}
    decayed = {names[id(p)] for g in groups if g["kind"] != "rest" for p in g["params"]}
    assert sum(len(group["params"]) for group in groups) == len(names)
    assert decayed | spared == set(names.values())
    assert not decayed & spared
    assert all(
        "norm" in n or "bias" in n or "embedding" in n or "position" in n
        for n in spared
    )
    assert not any("norm" in n or "bias" in n or "embedding" in n for n in decayed)
    assert all(g["weight_decay"] == 0.1 * (g["kind"] != "rest") for g in groups)


def test_the_peak_rate_is_kept_beside_the_rate(tiny) -> None:
    settings = tiny(train={"learning_rate": 0.25})
    optimizer = build_optimizer(settings, build_model(settings, 11))
    assert {group["initial_lr"] for group in optimizer.param_groups} == {0.25}


def hilly() -> tuple[torch.Tensor, nn.Parameter]:
    """A quadratic in 50 dimensions, curved 1 to 100, and where to start."""
    torch.manual_seed(1)
    turn, _ = torch.linalg.qr(torch.randn(50, 50, dtype=torch.float64))
    curvature = torch.linspace(1, 100, 50, dtype=torch.float64)
    return turn.T @ (curvature[:, None] * turn), nn.Parameter(torch.ones(50).double())


def steps_until(optimizer, x: nn.Parameter, matrix: torch.Tensor, limit: int) -> int:
    """Steps until ``x`` is within 1e-6 of the least point."""
    for number in range(1, limit + 1):
        x.grad = matrix @ x.detach()
        optimizer.step()
        if x.norm() < 1e-6:
            return number
    return limit + 1


def test_bfgs_finds_the_least_point_where_descent_does_not() -> None:
    matrix, x = hilly()
    assert steps_until(LBFGS([x], 0.015), x, matrix, 59) < 60
    matrix, x = hilly()
    assert steps_until(torch.optim.SGD([x], 0.015), x, matrix, 300) > 300


@pytest.mark.parametrize("warmup", [0, 2, 5])
def test_bfgs_warms_up_as_plain_descent_bit_for_bit(warmup: int) -> None:
    x, y = start(), start()
    ours, theirs = LBFGS([x], 0.05, warmup=warmup), torch.optim.SGD([y], 0.05)
    # the step after the warmup knows no pair yet
    assert walk(ours, x, warmup + 1) == walk(theirs, y, warmup + 1)
    assert walk(ours, x, 1) != walk(theirs, y, 1)
    walk(ours, x, 13)
    assert x.norm() < 1e-6


@pytest.mark.parametrize("history", [1, 3, 10])
def test_bfgs_takes_the_steps_of_torch(history: int) -> None:
    """torch's first step is min(1, 1 / |g|) of the gradient, in the sum norm."""
    matrix, x = hilly()
    y = nn.Parameter(x.detach().clone())
    rate = min(1.0, 1.0 / float((matrix @ x.detach()).abs().sum()))
    ours = LBFGS([x], rate, history, warmup=0)
    theirs = torch.optim.LBFGS(
        [y], 1.0, 1, history_size=history, tolerance_grad=0, tolerance_change=0
    )

    def loss() -> torch.Tensor:
        y.grad = matrix @ y.detach()
        return y.detach() @ matrix @ y.detach() / 2

    for _ in range(25):
        x.grad = matrix @ x.detach()
        ours.step()
        theirs.step(loss)
        assert torch.allclose(x, y, rtol=1e-6, atol=1e-9)


def test_bfgs_drops_pairs_without_curvature() -> None:
    x = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer = LBFGS([x], 0.1, warmup=0)
    for gradient in (1.0, 1.0, 2.0):  # flat, then curved downwards
        x.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
    assert optimizer.state[x]["pairs"] == 0
    assert x.item() == pytest.approx(1 - 0.1 * 4)


def test_the_rate_scales_the_steps_of_bfgs() -> None:
    x, y = start(), start()
    full, half = LBFGS([x], 0.05, warmup=2), LBFGS([y], 0.05, warmup=2)
    walk(full, x, 6)
    walk(half, y, 6)
    before = x.detach().clone()
    half.param_groups[0]["lr"] = 0.025
    walk(full, x, 1)
    walk(half, y, 1)
    assert torch.allclose(2 * (y - before), x - before)


def test_muon_is_that_of_torch_and_the_rest_adamw(tiny) -> None:
    change = {"optimizer": "muon", "learning_rate": 0.01}
    settings = tiny(train=change, model={"tie_embeddings": False})
    ours, theirs = build_model(settings, 11), build_model(settings, 11)
    theirs.load_state_dict(ours.state_dict())
    kinds = {one["kind"]: one["params"] for one in parameter_groups(theirs, 0.0)}
    assert kinds["output"] == [theirs.output.weight]
    parts = [
        torch.optim.Muon(kinds["hidden"], 0.01, 0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(kinds["output"], 0.01, weight_decay=0.01),
        torch.optim.AdamW(kinds["rest"], 0.01, weight_decay=0.0),
    ]
    optimizer = build_optimizer(settings, ours)
    torch.manual_seed(0)
    for number in range(5):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        optimizer.step()
        for part in parts:
            part.step()
        set_learning_rate(optimizer, 0.5**number)
        for part in parts:
            part.param_groups[0]["lr"] = 0.01 * 0.5**number
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)
    optimizer.zero_grad()
    assert all(weight.grad is None for weight in ours.parameters())


def test_optimizers_call_what_computes_the_loss() -> None:
    for name in OWN:
        x = start()

        def loss(x: nn.Parameter = x) -> torch.Tensor:
            total = (x**2).sum()
            x.grad = None
            total.backward()
            return total.detach()

        optimizer = OPTIMIZERS[name]([{"params": [x]}], 0.01)
        assert float(optimizer.step(loss)) == 5.0
        assert x.detach().abs().sum() < 3
