"""The presets hold what they say."""

import re
from pathlib import Path
from typing import get_args

import pytest
import tomli

from slangmod.errors import SettingsError
from slangmod.model.build import skeleton
from slangmod.settings import load_settings
from slangmod.settings.horizon import Horizon
from slangmod.settings.read import PRESETS, presets
from slangmod.settings.schedules import build_schedule
from slangmod.settings.sections import Size
from slangmod.settings.values import value_at

SIZES = get_args(Size)


def test_every_size_has_a_preset():
    assert set(SIZES) <= set(presets())


@pytest.mark.parametrize("size", SIZES)
def test_a_preset_has_about_as_many_parameters_as_it_says(size):
    settings = load_settings(None, {"size": size})
    model = skeleton(settings.model, settings.tokens.vocab)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    text = (PRESETS / f"{size}.toml").read_text()
    (said,) = re.findall(r"# About ([0-9.]+) million parameters", text)
    assert parameters / 1e6 == pytest.approx(float(said), rel=0.03)


@pytest.mark.parametrize("size", SIZES)
def test_the_learning_rate_of_a_preset_ends_at_zero_with_its_last_step(size):
    settings = load_settings(None, {"size": size})
    train = settings.train
    batches = train.max_steps * train.step_freq
    tokens = train.batch_size * settings.data.seq_len
    factor = build_schedule(settings, Horizon(tokens, None, batches))
    assert factor(batches) == pytest.approx(0, abs=1e-9)
    assert 0 < factor(batches - 2 * train.step_freq) < 0.01
    assert train.scaling in ("cosine", "wsd")
    if train.scaling == "cosine":
        assert train.warmup + train.cooldown == batches


@pytest.mark.parametrize("size", SIZES)
def test_a_preset_is_plain_values_and_the_same_from_size_and_base(size):
    by_size = load_settings(None, {"size": size})
    by_base = load_settings(None, {"base": f"preset:{size}"})
    assert by_size.replace(seed=1).model_dump(exclude={"size", "seed"}) == (
        by_base.model_dump(exclude={"size", "seed"})
    )


PYCMTENSOR = {
    "train.batch_size": 32,
    "train.max_epochs": 500,
    "train.optimizer": "adam",
    "train.learning_rate": 0.01,
    "train.max_learning_rate": 0.1,
    "train.min_learning_rate": 1e-5,
    "train.scaling": "constant",
    "train.warmup": 0,
    "train.schedule_unit": "epoch",
    "train.patience_steps": 2000,
    "train.patience_increase": 2.0,
    "train.validation_threshold": 1.003,
    "train.convergence_threshold": 1e-4,
    "train.convergence_norm": "gradient",
    "seed": 100,
}


def test_the_preset_of_pycmtensor_has_its_defaults():
    settings = load_settings(None, {"base": "preset:pycmtensor"})
    for name, value in PYCMTENSOR.items():
        assert value_at(settings, tuple(name.split("."))) == value, name
    assert settings.model == load_settings().model


@pytest.mark.parametrize("size", [None, *SIZES])
def test_what_learns_fast_is_laid_over_any_size(size):
    changes = {} if size is None else {"size": size}
    settings = load_settings(None, {"base": "preset:fast", **changes})
    plain = load_settings(None, changes)
    assert settings.train.optimizer == "muon"
    assert settings.model.positions == "rotary"
    assert settings.model.dim == plain.model.dim
    assert settings.data == plain.data


def test_the_fast_preset_is_what_was_compared():
    program = Path(__file__).parents[2] / "benchmarks" / "learning" / "fast.toml"
    compared = tomli.loads(program.read_text("utf-8"))
    preset = tomli.loads((PRESETS / "fast.toml").read_text("utf-8"))
    del compared["base"]
    # Of 2000 steps; the rate is the best of those that were tried.
    assert compared["train"].pop("warmup") == 20
    assert preset["train"].pop("warmup") == "1%"
    del compared["train"]["learning_rate"], preset["train"]["learning_rate"]
    assert preset == compared


@pytest.mark.parametrize("name", ["demo", "fast", "pycmtensor"])
def test_what_is_no_size_is_a_base_only(name):
    assert name in presets()
    with pytest.raises(SettingsError, match="choose one of"):
        load_settings(None, {"size": name})
