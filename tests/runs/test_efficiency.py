"""What is said of where time went."""

import re

import pytest

from slangmod.runs.efficiency import ADVICE, NAMES, bottleneck, in_parts, verdict
from slangmod.settings.catalog import catalog
from slangmod.training.times import LEARNING, PARTS


def spent(**seconds):
    """A training of which each part but those given takes no time."""
    rest = 100.0 - sum(seconds.values())
    return {**dict.fromkeys(PARTS, 0.0), "forward_backward": rest, **seconds}


@pytest.mark.parametrize("part", ADVICE)
def test_a_part_that_takes_too_long_is_named_with_what_helps(part):
    advice = ADVICE[part]
    most = 100 * advice.most
    assert bottleneck(spent(**{part: most - 0.5})) is None
    text = verdict(spent(**{part: most + 2.0}))
    assert text.startswith(f"{NAMES[part]}: {most + 2:.{most < 8:d}f} % of the time")
    assert text.endswith(advice.way_out)
    assert "\n" not in text


def test_of_several_the_one_that_takes_longest_is_named():
    assert bottleneck(spent(data=20.0, evaluation=40.0)) == "evaluation"


@pytest.mark.parametrize("part", ADVICE)
def test_settings_that_are_said_to_help_exist(part):
    named = re.findall(r"\b([a-z]+\.[a-z_]+)\b", ADVICE[part].way_out)
    assert set(named) <= set(catalog())


def test_every_part_has_a_name_and_all_but_learning_have_advice():
    assert set(NAMES) == set(PARTS)
    assert set(ADVICE) == set(PARTS) - set(LEARNING)


def test_where_all_is_well_it_says_how_much_is_learning():
    assert verdict(spent(optimizer=9.0, rest=3.0)) == (
        "no bottleneck: 97 % of the time went into learning"
    )


def test_of_no_time_nothing_is_said():
    assert verdict(dict.fromkeys(PARTS, 0.0)) is None
    assert in_parts({}) == ""
