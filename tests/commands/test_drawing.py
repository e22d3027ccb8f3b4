import pytest

from slangmod.commands.drawing import DRAW_AT_LEAST, Drawing
from slangmod.settings.sections import Plot

PLOT = Plot(record_frequency=20, plot_frequency=3)


def add_rows(run, first, last):
    with run.steps.open("a") as stream:
        for step in range(first, last + 1):
            stream.write(f"{step},1,{step},{640 * step},1.5,1e-3,0.5,41000.0\n")


def test_a_picture_is_due_at_first_and_then_by_points(make_run):
    run = make_run("first")
    drawing = Drawing.of((run,))
    assert drawing.is_due(PLOT, 0.0)
    assert not drawing.is_due(PLOT, 1.0)
    add_rows(run, 61, 62)
    assert not drawing.is_due(PLOT, 2.0)
    add_rows(run, 63, 63)
    assert drawing.is_due(PLOT, 3.0)
    assert not drawing.is_due(PLOT, 4.0)


def test_where_a_point_stands_for_many_rows_more_of_them_are_waited_for(make_run):
    run = make_run("first", steps=2001, evaluations=0)
    drawing = Drawing.of((run,))
    assert drawing.is_due(PLOT, 0.0)
    add_rows(run, 2002, 2060)
    assert not drawing.is_due(PLOT, 1.0)
    add_rows(run, 2061, 2061)
    assert drawing.is_due(PLOT, 2.0)


def test_after_some_seconds_anything_new_is_drawn_and_nothing_else(make_run):
    run = make_run("first")
    drawing = Drawing.of((run,))
    assert drawing.is_due(PLOT, 0.0)
    assert not drawing.is_due(PLOT, DRAW_AT_LEAST)
    add_rows(run, 61, 61)
    assert drawing.is_due(PLOT, DRAW_AT_LEAST)


def test_an_evaluation_is_drawn_at_once(make_run):
    run = make_run("first")
    drawing = Drawing.of((run,))
    assert drawing.is_due(PLOT, 0.0)
    with run.epochs.open("a") as stream:
        stream.write("2,61,39040,1.5,1.5,0.001,61.0\n")
    assert drawing.is_due(PLOT, 1.0)


def test_a_run_that_went_back_is_drawn_at_once(make_run):
    run = make_run("first")
    drawing = Drawing.of((run,))
    assert drawing.is_due(PLOT, 0.0)
    lines = run.steps.read_text().splitlines(keepends=True)
    run.steps.write_text("".join(lines[:30]))
    assert drawing.is_due(PLOT, 1.0)


@pytest.mark.parametrize(
    ("names", "asked", "axis"),
    [(1, None, "step"), (2, None, "tokens"), (1, "time", "time"), (2, "step", "step")],
)
def test_the_axis_is_the_one_asked_for_or_one_that_fits(make_run, names, asked, axis):
    runs = tuple(make_run(f"run-{number}") for number in range(names))
    assert Drawing.of(runs, asked).axis == axis
