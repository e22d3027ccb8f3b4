import pytest

from slangmod.runs.comparison import aligned, shown
from slangmod.runs.curves import read_curves


def test_losses_are_those_of_the_last_evaluation_up_to_a_place(make_run):
    curves = [read_curves(make_run("first", steps=60), "step")]
    places, (losses,) = aligned(curves)
    assert places == [10, 20, 30, 40, 50, 60]
    assert losses == list(curves[0].test.y)


def test_nothing_is_guessed_before_the_first_evaluation_or_after_the_end(make_run):
    runs = [
        read_curves(make_run("long", steps=600, evaluations=2), "step"),
        read_curves(make_run("short", steps=60), "step"),
    ]
    places, (long, short) = aligned(runs)
    assert places == [100, 200, 300, 400, 500, 600]
    assert long[:2] == [None, None]
    assert long[2] == long[3] == long[4] == runs[0].test.y[0]
    assert long[5] == runs[0].test.y[1]
    assert short == [None] * 6


def test_runs_that_end_at_nearly_the_same_place_meet_there(make_run):
    runs = [
        read_curves(make_run("one", steps=600), "step"),
        read_curves(make_run("two", steps=606), "step"),
    ]
    places, (one, two) = aligned(runs)
    assert places[-1] == 606
    assert 600 not in places
    assert (one[-1], two[-1]) == (runs[0].test.y[-1], runs[1].test.y[-1])


def test_where_nothing_was_evaluated_there_are_no_places(make_run):
    assert aligned([read_curves(make_run("x", evaluations=0), "step")]) == ([], [[]])
    assert aligned([]) == ([], [])


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (True, "true"), (3, "3"), (0.25, "0.2500"), (1234.5, "1234"),
     (3e-5, "3e-05"), ("a\x1bb", '"a\\u001Bb"'), ([1, "x"], '[1, "x"]')],
)  # fmt: skip
def test_values_are_short_and_safe_to_show(value, text):
    assert shown(value) == text
