from array import array

import numpy as np
import pytest

from slangmod.runs.curves import (
    Curve,
    CurveReader,
    borders,
    curve,
    read_curves,
    tick,
    window,
)


def ramp(points):
    return Curve(np.arange(points, dtype=float), np.arange(points, dtype=float))


@pytest.mark.parametrize("points", [0, 1, 99, 100, 101, 12345])
def test_thinning_keeps_few_points_and_their_mean(points):
    thin = ramp(points).thinned(100)
    assert len(thin) == min(points, 100)
    weights = np.diff(
        np.append(np.linspace(0, points, len(thin), False).astype(int), points)
    )
    if points:
        assert np.isclose((thin.y * weights).sum() / points, (points - 1) / 2)
        assert (np.diff(thin.x) > 0).all()


@pytest.mark.parametrize("points", [0, 1, 10, 50, 1000])
def test_smoothing_leaves_a_constant_alone_and_moves_no_point(points):
    x = np.arange(points, dtype=float)
    smooth = Curve(x, np.full(points, 2.0)).smoothed()
    assert np.allclose(smooth.y, 2.0)
    assert (smooth.x == x).all()


def test_smoothing_is_the_mean_of_the_neighbourhood():
    y = np.random.default_rng(1).normal(size=500)
    smooth = Curve(np.arange(500.0), y).smoothed(0.02)
    assert np.isclose(smooth.y[250], y[245:256].mean())
    assert np.isclose(smooth.y[0], y[0])
    assert np.isclose(smooth.y[-1], y[-6:].mean())


def test_points_that_are_no_numbers_are_left_out():
    clean = curve(array("d", [1, 2, 3, 4]), array("d", [1, np.nan, np.inf, 2]))
    assert list(clean.x) == [1, 4]


def test_the_best_is_the_least_test_loss(make_run):
    run = read_curves(make_run("first"), "step")
    assert run.best == (40.0, 2.0)
    assert len(run.train) == 60
    assert len(run.test) == 6


def test_curves_run_over_steps_or_tokens(make_run):
    run = make_run("first")
    assert read_curves(run, "step").train.x[-1] == 60
    assert read_curves(run, "tokens").train.x[-1] == 60 * 640


def test_a_run_without_evaluations_has_no_best(make_run):
    run = read_curves(make_run("first", evaluations=0), "step")
    assert run.best is None
    assert not run.is_empty()


def test_a_run_without_rows_is_empty(make_run):
    assert read_curves(make_run("first", steps=0, evaluations=0), "step").is_empty()


def test_a_reader_sees_what_is_added(make_run):
    run = make_run("first", steps=6)
    reader = CurveReader(run)
    assert reader.refresh()
    assert not reader.refresh()
    with run.steps.open("a") as stream:
        stream.write("7,1,7,4480,2.0,0.001,0.5,41000.0\n")
    assert reader.refresh()
    assert len(reader.curves("step").train) == 7


def test_the_window_ignores_how_high_a_long_run_began():
    y = np.concatenate((np.full(10, 50.0), np.linspace(3, 2, 990)))
    low, high = window([Curve(np.arange(1000.0), y)])
    assert 1.9 < low < 2
    assert 2.9 < high < 3.1


def test_the_window_shows_all_of_a_short_run():
    low, high = window([Curve(np.arange(3.0), np.array([9.0, 5.0, 4.0]))])
    assert low < 4 < 9 < high


@pytest.mark.parametrize("values", [[], [0.0], [2.0, 2.0]])
def test_the_window_is_never_without_height(values):
    low, high = window([Curve(np.arange(float(len(values))), np.array(values))])
    assert low < high


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (250, "250"), (1250, "1.25k"), (2e6, "2M"), (3e9, "3G")],
)
def test_ticks_are_round_counts_in_full(number, text):
    assert tick(number) == text


def test_borders_lie_where_the_number_of_the_stage_goes_up():
    stages = Curve(np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 1, 2, 2, 4]))
    assert borders(stages) == (2.0, 4.0)
    assert borders(Curve(np.zeros(0), np.zeros(0))) == ()


def test_a_run_without_stages_has_no_borders(make_run):
    assert read_curves(make_run("first"), "step").borders == ()
