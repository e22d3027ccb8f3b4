"""The planned course of a training: its steps and the rate of each."""

import math

import pytest

from slangmod.errors import SettingsError
from slangmod.settings import load_settings
from slangmod.settings.course import Data, course_of, rates_of
from slangmod.settings.derived import DERIVED, derived_values

SEVEN = Data(
    100, lambda settings, epoch: 56 // settings.train.batch_size + (epoch == 2)
)
"""56 rows; the second epoch has one mini-batch more."""


def settings_of(**train):
    return load_settings(None, {"train": {"batch_size": 8, "warmup": 0, **train}})


def starts_of(settings, data):
    legs = course_of(settings, data)
    return [tuple(start for epoch in leg.starts for start in epoch) for leg in legs]


def test_a_step_is_made_of_mini_batches_of_one_epoch():
    settings = settings_of(max_epochs=2, step_freq=3)
    assert starts_of(settings, SEVEN) == [(0, 3, 6, 7, 10, 13)]


def test_a_limit_of_steps_ends_it_earlier():
    settings = settings_of(max_epochs=2, step_freq=3, max_steps=4)
    assert starts_of(settings, SEVEN) == [(0, 3, 6, 7)]


def test_without_data_only_a_limit_of_steps_will_do():
    assert starts_of(settings_of(step_freq=3, max_steps=3), None) == [(0, 3, 6)]
    with pytest.raises(SettingsError, match=r"set train\.max_steps"):
        course_of(settings_of(), None)


def test_rates_are_those_of_the_schedule_at_the_start_of_each_step():
    settings = settings_of(max_epochs=1, step_freq=2, warmup=2, learning_rate=0.5)
    expected = [0.25, 0.5, 0.5 / math.sqrt(2), 0.5 / 2]
    assert rates_of(settings, SEVEN) == pytest.approx(expected, rel=1e-12)


def staged(*stages, **train):
    return settings_of(**train).replace(stage=stages)


def test_a_stage_begins_a_new_epoch_and_counts_go_on():
    settings = staged(
        {"steps": 3, "train.step_freq": 2},
        {"epochs": 1},
        {"epochs": 1, "train.batch_size": 28},
    )
    assert starts_of(settings, SEVEN) == [
        (0, 2, 4),
        tuple(range(6, 14)),  # the second epoch, which has one more
        (14, 15),
    ]


def test_schedules_restart_with_a_stage_or_go_on():
    shape = {"scaling": "linear", "cooldown": 10, "learning_rate": 1.0}
    settings = staged(
        {"steps": 2}, {"steps": 2}, {"steps": 2, "schedule": "continue"}, **shape
    )
    expected = [1.0, 0.9, 1.0, 0.9, 0.6, 0.5]
    assert rates_of(settings, None) == pytest.approx(expected, rel=1e-12)


def test_durations_are_of_a_stage_or_of_the_whole():
    shape = {"scaling": "linear", "cooldown": "100%", "learning_rate": 1.0}
    settings = staged({"steps": 2}, {"steps": 2, "schedule": "continue"}, **shape)
    assert rates_of(settings, None) == pytest.approx([1.0, 0.5, 0.5, 0.25], rel=1e-12)


def test_all_stages_end_with_the_steps_of_the_run():
    settings = staged({"steps": 2}, {"steps": 5}, {"steps": 5}, max_steps=4)
    assert starts_of(settings, None) == [(0, 1), (2, 3)]


def test_derived_values_come_from_the_course():
    settings = settings_of(max_epochs=2, step_freq=3)
    values = derived_values(settings, lambda _: SEVEN)
    assert values["train.steps_per_epoch"] == 3
    assert values["train.total_steps"] == 6
    assert len(values["train.lr_schedule"]) == 6
    assert values["train.batch_size_per_device"] == 8
    without = derived_values(settings, lambda _: None)
    assert without["train.total_steps"] is None
    assert set(values) == set(without) == set(DERIVED)


def test_what_is_too_long_to_list_is_refused_at_once():
    with pytest.raises(SettingsError, match="too many to list"):
        rates_of(settings_of(max_steps=10**15), None)
    with pytest.raises(SettingsError, match="too many to look at"):
        course_of(settings_of(max_epochs=10**15), SEVEN)
    (leg,) = course_of(settings_of(max_steps=10**15), None)
    assert leg.steps == 10**15
