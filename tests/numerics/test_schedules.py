"""Schedules against closed forms, published tables, and swak where they agree."""

import math

import pytest

from slangmod.optim.schedules import (
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


def test_each_schedule_of_the_settings_has_a_function_and_a_reference() -> None:
    field = Settings.model_fields["train"].annotation.model_fields["scaling"]
    assert set(SCHEDULES) == set(field.annotation.__args__)
    assert set(SCHEDULES) == {"inverse", "exponential", "cosine"}
