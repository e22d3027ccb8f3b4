import math
from statistics import NormalDist

import pytest

from slangmod.runs.groups import (
    Difference,
    Group,
    differences,
    groups_of,
    student,
    welch,
)
from slangmod.runs.overview import Overview


def run(called, loss=2.0, state="ended", **settings):
    return Overview(
        called,
        state,
        {"seed": 1, "train": {"learning_rate": 0.001}, **settings},
        {"best_test_loss": loss},
        {"outcome": {"best_test_loss": loss}} if state == "ended" else {},
    )


def group(*values, name="a"):
    return Group(name, (name,) * len(values), values, ended=True)


@pytest.mark.parametrize(
    ("t", "freedom", "p"),
    [  # tables of Student's t, two-sided
        (12.706, 1, 0.05),
        (63.657, 1, 0.01),
        (4.303, 2, 0.05),
        (2.776, 4, 0.05),
        (2.228, 10, 0.05),
        (3.169, 10, 0.01),
        (1.372, 10, 0.2),
        (2.042, 30, 0.05),
        (1.980, 120, 0.05),
        (0.0, 5, 1.0),
    ],
)
def test_p_is_that_of_the_tables(t, freedom, p):
    assert student(t, freedom) == pytest.approx(p, rel=2e-3)
    assert student(-t, freedom) == student(t, freedom)


@pytest.mark.parametrize("t", [0.01, 0.5, 1.0, 3.0, 10.0, 1e6])
def test_p_has_closed_forms_for_one_and_two_degrees_of_freedom(t):
    assert student(t, 1) == pytest.approx(1 - 2 * math.atan(t) / math.pi, abs=1e-12)
    two = 1 - t / math.sqrt(2 + t * t)
    assert student(t, 2) == pytest.approx(two, abs=1e-12)


def test_p_is_normal_with_many_runs_and_falls_with_t():
    normal = 2 * (1 - NormalDist().cdf(1.5))
    assert student(1.5, 1e6) == pytest.approx(normal, rel=1e-4)
    values = [student(t / 10, 3.7) for t in range(100)]
    assert values == sorted(values, reverse=True)


def test_welch_agrees_with_a_worked_example():
    # Means 20.6 and 22.135, of unequal spread: t = -2.22, 24.99 degrees of freedom.
    one = group(27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6,
                19.0, 21.7, 21.4)  # fmt: skip
    two = group(27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1,
                22.9, 20.5, 24.4)  # fmt: skip
    assert welch(one, two) == pytest.approx(0.021, abs=5e-4)


def test_one_run_tells_nothing_about_spread():
    assert welch(group(1.0), group(2.0, 2.1)) is None
    (found,) = differences([group(1.0, name="a"), group(2.0, 2.1, name="b")])
    assert found.exceeds is None
    assert "unknown" in found.sentence()


@pytest.mark.parametrize(
    ("one", "two", "p"), [((1.0, 1.0), (1.0, 1.0), 1.0), ((1.0, 1.0), (2.0, 2.0), 0.0)]
)
def test_groups_without_any_spread_differ_or_are_equal(one, two, p):
    assert welch(group(*one), group(*two)) == p
    assert welch(group(1e-200, 3e-200), group(2e-200, 4e-200)) is not None


def test_two_runs_each_show_only_large_differences():
    (small,) = differences([group(2.00, 2.02), group(2.05, 2.08)])
    (large,) = differences([group(2.00, 2.02), group(3.05, 3.06)])
    assert (small.exceeds, large.exceeds) == (False, True)


def test_a_sentence_names_the_better_first_and_says_what_it_is_worth():
    assert Difference("a", "b", -0.25, 0.01).sentence() == (
        "a is 0.2500 better than b: more than seeds explain (Welch's test, p = 0.01)"
    )
    assert (
        Difference("a", "b", 0.25, 0.4)
        .sentence()
        .startswith("b is 0.2500 better than a: no more than seeds explain")
    )


def test_runs_that_differ_in_seed_alone_are_a_group():
    runs = [run("x-1"), run("x-2", 2.5, seed=2), run("y", train={"learning_rate": 1})]
    one, two = groups_of(runs)
    assert (one.name, one.runs, one.values) == ("x", ("x-1", "x-2"), (2.0, 2.5))
    assert one.mean == 2.25
    assert one.spread == pytest.approx(math.sqrt(0.125))
    assert (two.name, two.spread) == ("y", None)


def test_what_is_watched_and_named_makes_no_difference():
    about = {"name": "x-2", "samples": {"every": 5}, "threads": 2, "repeat": 3}
    (found,) = groups_of([run("x-1"), run("z", **about)])
    assert found.name == "x-1, z"


def test_runs_whose_settings_are_unknown_are_like_no_other():
    runs = [Overview("a", "stopped"), Overview("b", "stopped")]
    assert [one.runs for one in groups_of(runs)] == [("a",), ("b",)]
    assert differences(groups_of(runs)) == []


def test_a_group_says_whether_its_values_are_the_last_word():
    (found,) = groups_of([run("x-1"), run("x-2", state="running", seed=2)])
    assert not found.ended
    assert len(found.values) == 2
