"""The presets hold what they say."""

import re
from typing import get_args

import pytest

from slangmod.model.build import skeleton
from slangmod.settings import load_settings
from slangmod.settings.read import PRESETS, presets
from slangmod.settings.sections import Size

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
    train = load_settings(None, {"size": size}).train
    assert train.scaling == "cosine"
    assert train.warmup + train.cooldown == train.max_steps * train.step_freq


@pytest.mark.parametrize("size", SIZES)
def test_a_preset_is_plain_values_and_the_same_from_size_and_base(size):
    by_size = load_settings(None, {"size": size})
    by_base = load_settings(None, {"base": f"preset:{size}"})
    assert by_size.replace(seed=1).model_dump(exclude={"size", "seed"}) == (
        by_base.model_dump(exclude={"size", "seed"})
    )
