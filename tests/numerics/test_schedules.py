"""Schedules against closed forms, published tables, torch and swak."""

import math
from collections.abc import Callable

import pytest
import torch
from torch.optim import lr_scheduler

from slangmod.errors import SettingsError
from slangmod.settings.horizon import Horizon
from slangmod.settings.schedules import (
    SCHEDULES,
    build_schedule,
    cosine,
    exponential,
    inverse,
    warmed_up,
)
from slangmod.settings.sections import Settings

TABLE = {
    # t: inverse 0.5, inverse 1.0, exponential 0.5, cosine 10; warmup 4
    0: (0.25, 0.25, 0.25, 0.25),
    3: (1.0, 1.0, 1.0, 1.0),
    4: (1.0, 1.0, 1.0, 1.0),
    5: (1.0, 1.0, 0.5, 0.987688),
    6: (0.707107, 0.5, 0.25, 0.951057),
    8: (0.5, 0.25, 0.0625, 0.809017),
    9: (0.447214, 0.2, 0.03125, 0.707107),
    13: (0.333333, 0.111111, 0.001953, 0.156434),
    14: (0.316228, 0.1, 0.000977, 0.0),
}


DEFAULTS = {
    # t: inverse, exponential, cosine with the defaults of [train]
    0: (1.25e-4, 1.25e-4, 1.25e-4),
    1000: (0.125125, 0.125125, 0.125125),
    7999: (1, 1, 1),
    8000: (1, 1, 1),
    8001: (1, 0.95, 1 - 1.2337e-10),
    8002: (0.707106781, 0.9025, 0.9999999995),
    8010: (0.316227766, 0.598736939, 0.9999999877),
    8100: (0.1, 0.00592052922, 0.999998766),
    9000: (0.0316227766, 5.29182275e-23, 0.999876632),
    33000: (0.00632455532, 0, 0.923879533),
    83000: (0.00365148372, 0, 0.382683432),
    107999: (0.00316229347, 0, 1.57079633e-5),
    108000: (0.00316227766, 0, 0),
}


@pytest.mark.parametrize("t", TABLE)
def test_small_table(t: int) -> None:
    decays = (inverse(0.5), inverse(1.0), exponential(0.5), cosine(10))
    factors = [warmed_up(decay, 4)(t) for decay in decays]
    assert factors == pytest.approx(TABLE[t], rel=1e-5, abs=5e-7)


@pytest.mark.parametrize("t", DEFAULTS)
@pytest.mark.parametrize("place", range(3))
def test_defaults_of_train(t: int, place: int) -> None:
    scaling = ("inverse", "exponential", "cosine")[place]
    settings = Settings.model_validate({"train": {"scaling": scaling}})
    assert build_schedule(settings)(t) == pytest.approx(
        DEFAULTS[t][place], rel=1e-8, abs=1e-100
    )


@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_closed_forms(warmup: int) -> None:
    for t in range(200):
        n = t - warmup
        rising = (t + 1) / warmup if n < 0 else None
        expected = {
            "inverse": 1.0 if n == 0 else abs(n) ** -0.7,
            "exponential": 0.9**n,
            "cosine": math.cos(math.pi / 2 * n / 50) if n < 50 else 0.0,
        }
        table = {"power": 0.7, "gamma": 0.9, "cooldown": 50, "warmup": warmup}
        for name, value in expected.items():
            settings = Settings.model_validate({"train": {"scaling": name, **table}})
            wanted = value if rising is None else rising
            assert build_schedule(settings)(t) == pytest.approx(wanted, abs=1e-12)


def test_cosine_ends_at_zero_exactly() -> None:
    assert [cosine(100)(n) for n in (100, 101, 10**6)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["inverse", "exponential"])
def test_swak_gives_the_same_factors(name: str) -> None:
    schedulers = pytest.importorskip("swak.pt.train")
    theirs = {
        "inverse": lambda: schedulers.LinearInverse(10, 0.7),
        "exponential": lambda: schedulers.LinearExponential(10, 0.9),
    }[name]()
    table = {"scaling": name, "power": 0.7, "gamma": 0.9, "warmup": 10}
    ours = build_schedule(Settings.model_validate({"train": table}))
    for t in range(200):
        assert ours(t) == pytest.approx(theirs(t), rel=1e-12)


PYCMTENSOR = {
    # s: step, polynomial, cyclic, triangular, exp_range; rate 0.01, top 0.1, cycle 16,
    # gamma 0.5, factor 0.5, every 10, power 0.999, 100 steps of polynomial
    0: (0.01, 0.01, 0.01, 0.01, 0.01),
    1: (0.01, 0.0099000995, 0.02125, 0.02125, 0.015625),
    4: (0.01, 0.0096003919, 0.055, 0.055, 0.0325),
    8: (0.01, 0.00920076714, 0.1, 0.1, 0.055),
    10: (0.005, 0.00900094829, 0.0775, 0.0775, 0.04375),
    12: (0.005, 0.00880112501, 0.055, 0.055, 0.0325),
    16: (0.005, 0.0084014647, 0.01, 0.01, 0.01),
    17: (0.005, 0.00830154668, 0.02125, 0.015625, 0.0128125),
    20: (0.0025, 0.00800178535, 0.055, 0.0325, 0.02125),
    24: (0.0025, 0.00760208601, 0.1, 0.055, 0.0325),
    32: (0.00125, 0.00680262301, 0.01, 0.01, 0.01),
    40: (0.000625, 0.00600306574, 0.1, 0.0325, 0.02125),
    99: (1.953125e-5, 1.00461579e-4, 0.04375, 0.0105273438, 0.0102636719),
    100: (9.765625e-6, 0, 0.055, 0.010703125, 0.0103515625),
}
TABLED = ("step", "polynomial", "cyclic", "triangular", "exp_range")


def settings_of(scaling: str, **train: object) -> Settings:
    """Settings of PyCMTensor's table."""
    given = {"learning_rate": 0.01, "max_learning_rate": 0.1, "warmup": 0}
    given |= {"cooldown": 100, "gamma": 0.5, "scaling": scaling, **train}
    return Settings.model_validate({"train": given})


@pytest.mark.parametrize("s", PYCMTENSOR)
@pytest.mark.parametrize("name", TABLED)
def test_table_of_pycmtensor(s: int, name: str) -> None:
    expected = PYCMTENSOR[s][TABLED.index(name)]
    rate = 0.01 * build_schedule(settings_of(name))(s)
    assert rate == pytest.approx(expected, rel=1e-8, abs=1e-15)


def torch_cycle(optimizer: torch.optim.Optimizer, **more: object) -> object:
    return lr_scheduler.CyclicLR(
        optimizer, 0.01, 0.1, 8, 8, cycle_momentum=False, **more
    )


TORCH: dict[str, Callable[[torch.optim.Optimizer], object]] = {
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.5),
    "annealing": lambda o: lr_scheduler.LambdaLR(
        o, lambda n: 0.5 * (1 + math.cos(math.pi * min(n, 100) / 100))
    ),
    "linear": lambda o: lr_scheduler.PolynomialLR(o, 100, 1.0),
    "constant": lambda o: lr_scheduler.ConstantLR(o, 1, 0),
    "step": lambda o: lr_scheduler.StepLR(o, 10, 0.5),
    "polynomial": lambda o: lr_scheduler.PolynomialLR(o, 100, 0.999),
    "cyclic": lambda o: torch_cycle(o, mode="triangular"),
    "triangular": lambda o: torch_cycle(o, mode="triangular2"),
    "exp_range": lambda o: torch_cycle(
        o, scale_fn=lambda k: 0.5**k, scale_mode="cycle"
    ),
    "restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 16),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TORCH)
def test_torch_gives_the_same_rates_for_200_steps(name: str) -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.01)
    theirs = TORCH[name](optimizer)
    ours = build_schedule(settings_of(name))
    for t in range(200):
        rate = optimizer.param_groups[0]["lr"]
        assert 0.01 * ours(t) == pytest.approx(rate, rel=0, abs=1e-12)
        optimizer.step()
        theirs.step()


@pytest.mark.filterwarnings("ignore")
def test_torch_anneals_to_the_same_floor() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.01)
    theirs = lr_scheduler.CosineAnnealingLR(optimizer, 100, 0.001)
    ours = build_schedule(settings_of("annealing", min_learning_rate=0.001))
    for t in range(101):
        rate = optimizer.param_groups[0]["lr"]
        assert 0.01 * ours(t) == pytest.approx(rate, rel=0, abs=1e-12)
        optimizer.step()
        theirs.step()
    assert ours(10**6) == pytest.approx(0.1, rel=1e-15)


WSD = {0: 1.0, 10: 1.0, 160: 1.0, 170: 0.75, 180: 0.5, 190: 0.25, 199: 0.025, 200: 0.0}


@pytest.mark.parametrize("t", WSD)
def test_wsd_falls_over_the_last_fifth_of_what_is_planned(t: int) -> None:
    horizon = Horizon(1000, 20, 200)
    for warmup in (0, 8):
        schedule = build_schedule(settings_of("wsd", warmup=warmup), horizon)
        assert schedule(t) == pytest.approx((t + 1) / 8 if t < warmup else WSD[t])
    limited = settings_of("wsd", max_steps=50, step_freq=4)
    assert build_schedule(limited)(t) == pytest.approx(WSD[t])


REFERENCES = {
    "the contract's tables": {"inverse", "exponential", "cosine"},
    "the table of PyCMTensor": set(TABLED),
    "torch": set(TORCH),
    "a closed form": {"wsd"},
}


def test_each_schedule_of_the_settings_has_a_function_and_a_reference() -> None:
    field = Settings.model_fields["train"].annotation.model_fields["scaling"]
    assert set(SCHEDULES) == set(field.annotation.__args__)
    assert set(SCHEDULES) == set().union(*REFERENCES.values())


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_rises_from_its_floor_and_stays_above(name: str) -> None:
    settings = settings_of(name, warmup=4, min_learning_rate=0.002)
    schedule = build_schedule(settings, Horizon(1000, 20, 200))
    assert [schedule(t) for t in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert schedule(4) == 1.0
    assert min(schedule(t) for t in range(4, 10_000, 7)) >= 0.2


@pytest.mark.parametrize("name", SCHEDULES)
def test_epochs_as_unit_give_one_rate_for_each_epoch(name: str) -> None:
    by_epoch = settings_of(name, schedule_unit="epoch")
    schedule = build_schedule(by_epoch, Horizon(1000, 20, 2000))
    single = build_schedule(settings_of(name), Horizon(1000, 1, 100))
    assert [schedule(t) for t in range(2000)] == [single(t // 20) for t in range(2000)]


def test_durations_are_measured_by_what_is_planned() -> None:
    horizon = Horizon(tokens_per_batch=1000, batches_per_epoch=50, batches=400)
    for span, batches in {
        "5%": 20,
        "0%": 0,
        "0.01%": 1,
        "1.5 epochs": 75,
        "1 epoch": 50,
        "1M tokens": 1000,
        "1500 tokens": 2,
        "2k tokens": 2,
        7: 7,
    }.items():
        assert horizon.batches_of(span, "train.warmup") == batches
    texts = settings_of("cosine", warmup="5%", cooldown="2 epochs")
    numbers = settings_of("cosine", warmup=20, cooldown=100)
    one, other = build_schedule(texts, horizon), build_schedule(numbers)
    assert [one(t) for t in range(150)] == [other(t) for t in range(150)]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"warmup": "5%"}, 'train.warmup = "5%"'),
        ({"warmup": "2 epochs"}, 'train.warmup = "2 epochs"'),
        ({"schedule_unit": "epoch"}, "train.schedule_unit"),
        ({"scaling": "wsd"}, 'train.scaling = "wsd"'),
    ],
)
def test_what_needs_the_data_says_so_without_them(change: dict, name: str) -> None:
    with pytest.raises(SettingsError, match="slangmod encode") as caught:
        build_schedule(settings_of(**{"scaling": "constant", **change}))
    assert str(caught.value).startswith(name)


def test_tokens_and_steps_need_no_data() -> None:
    settings = settings_of("constant", warmup="5%", max_steps=100, step_freq=2)
    assert build_schedule(settings)(0) == 0.1
    settings = settings_of("constant", warmup="65536 tokens", batch_size=64)
    assert build_schedule(settings)(0) == 0.5
