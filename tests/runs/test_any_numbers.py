"""Whatever numbers the tables of a run hold, there is a picture of it and a page."""

import json
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from slangmod.cli import main
from slangmod.runs.comparison import aligned, rows_of
from slangmod.runs.curves import AXES, Curve, drawable, read_curves, window
from slangmod.runs.directory import RunDir
from slangmod.runs.foresight import Marks, draw_rates
from slangmod.runs.gnuplot import script
from slangmod.runs.groups import differences, groups_of
from slangmod.runs.overview import Overview, overview
from slangmod.runs.plots import save_picture
from slangmod.runs.points import Have, Points
from slangmod.runs.recorders import EPOCH_COLUMNS, STAGE_COLUMNS, STEP_COLUMNS
from slangmod.runs.report import report_page
from slangmod.runs.terminal import draw_text
from slangmod.settings.sections import Plot

MANY = hypothesis_settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FEW = hypothesis_settings(MANY, max_examples=8)
BUT_TWO = hypothesis_settings(MANY, max_examples=2)
"""Pictures take their time."""

NUMBERS = st.one_of(
    st.floats(),
    st.integers(-(10**20), 10**20),
    st.sampled_from([0, -0.0, 5e-324, 2.2e-308, 1.7e308, -1.7e308, 1e100, 1e-100]),
    st.floats(0, 10),
    st.just(""),
)
ALIKE = st.shared(NUMBERS, key="alike")
"""The same in a whole table."""


def tables(columns: tuple[str, ...]) -> st.SearchStrategy[list[tuple[object, ...]]]:
    """Rows of any numbers, of columns some of which never change."""
    row = st.tuples(*[st.one_of(NUMBERS, ALIKE)] * len(columns))
    return st.lists(row, max_size=12)


STEPS = tables((*STEP_COLUMNS, *STAGE_COLUMNS))
TESTS = tables(EPOCH_COLUMNS)

BEFORE_THE_FIRST_STEP = [(0, 1, n, 640 * n, 3.0, "", "", 41000.0, 1) for n in (1, 2)]
NEGATIVE = [(-n, -1, -n, -640 * n, -3.0, -0.1, -1.0, -4.0, -1) for n in (1, 2, 3)]
LOW_AND_HIGH = [
    (n, 1, n, n, loss, rate, 1.0, 1.0, 1)
    for n, loss, rate in ((1, 1e308, 1.7e308), (2, -1e308, 5e-324), (3, 5e-324, 0))
]
FAR = [(10**300, 1, 1e308, 1e308, math.inf, math.nan, 1, 5e-324, 1)] * 3
TOO_HIGH = [(1, 1, 1, 1, 1e308, 1.0, 1.0, 1.0, 1)] * 2


@contextmanager
def without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def written(make_run) -> Callable[..., RunDir]:
    """The run called first, with these rows in its tables."""
    run = make_run("first", steps=0, evaluations=0)
    heads = [path.read_text() for path in (run.steps, run.epochs)]

    def write(steps: list[tuple[object, ...]], tests: list[tuple[object, ...]]):
        head = heads[0].strip() + ",stage\n"
        run.steps.write_text(head + text_of(steps))
        run.epochs.write_text(heads[1] + text_of(tests))
        memory = [(n, *row[2:5]) for n, row in enumerate(steps)]
        run.memory.write_text("step,batch,resident_bytes,device_bytes\n")
        with run.memory.open("a") as stream:
            stream.write(text_of(memory))
        return run

    return write


def text_of(rows: list[tuple[object, ...]]) -> str:
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def strictly(text: str) -> object:
    """``text`` as JSON, which knows neither nan nor infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    return json.loads(text, parse_constant=refuse)


@MANY
@given(STEPS, TESTS, st.sampled_from([*AXES]))
@example(BEFORE_THE_FIRST_STEP, [], "step")
@example(NEGATIVE, [], "step")
@example(LOW_AND_HIGH, [], "tokens")
@example(FAR, [], "time")
@example(TOO_HIGH, [], "step")
def test_whatever_tables_hold_there_are_lines_of_text(
    written, steps, tests, axis
) -> None:
    run = written(steps, tests)
    with without_warnings():
        curves = read_curves(run, axis)
        two = (curves, read_curves(run, axis))
        for runs in ((curves,), two):
            text = draw_text(runs, axis, (60, 30), colour=False)
            assert len(text.splitlines()) == 30
            numbers = script(runs, axis).replace("'", " ").split()
            assert not {"nan", "inf", "-inf"}.intersection(numbers)
        places, losses = aligned(two)
        assert all(len(one) == len(places) for one in losses)


@BUT_TWO
@given(STEPS, TESTS, st.sampled_from([1, 2]))
@example(BEFORE_THE_FIRST_STEP, [], 1)
@example(NEGATIVE, [], 1)
@example(LOW_AND_HIGH, [], 2)
@example([], [(1, 10.0**n, 1, 1, -(10.0**n), 1, 1) for n in (-300, 3, 99)], 1)
def test_whatever_tables_hold_there_is_a_picture(written, steps, tests, times) -> None:
    run = written(steps, tests)
    path = run.root / "picture.png"
    path.unlink(missing_ok=True)
    with without_warnings():
        save_picture(path, (read_curves(run, "step"),) * times, "step", "title")
    assert path.stat().st_size > 1000


@MANY
@given(STEPS, TESTS)
@example(FAR, [])
@example(LOW_AND_HIGH * 800, [])
def test_whatever_tables_hold_a_page_is_told_in_json(written, steps, tests) -> None:
    run = written(steps, tests)
    with without_warnings():
        news = Points(run, 20).news(Have())
        assert strictly(json.dumps(news, allow_nan=False)) == news
        about = overview(run)
        rows, groups = rows_of([about, about]), groups_of([about, about])
        assert len(rows) == 2
        assert differences(groups) == []


@FEW
@given(STEPS, TESTS)
@example(BEFORE_THE_FIRST_STEP, [])
@example(FAR, [])
def test_whatever_tables_hold_every_command_that_looks_ends_well(
    written, tmp_path, capsys, steps, tests
) -> None:
    run = written(steps, tests)
    here = ("--workdir", str(tmp_path))
    with without_warnings():
        for words in (
            ("monitor", "first"),
            ("compare", "first"),
            ("compare", "first", "--format", "csv"),
            ("compare", "first", "--format", "json"),
            ("compare", "first", "--by", "time"),
            ("summarize", "first"),
        ):
            assert main([*words, *here]) == 0, words
            said = capsys.readouterr()
            assert said.err == ""
            assert said.out
            if "json" in words or "summarize" in words:
                strictly(said.out)
        assert report_page((run,), Plot(), datetime(2026, 1, 31)).endswith("</html>\n")


@MANY
@given(st.lists(st.floats(), min_size=1, max_size=50))
@example([5e-324, 5e-324])
@example([1.7e308])
def test_whatever_rates_are_planned_they_are_drawn(rates) -> None:
    marks = [Marks("saved", "x", (len(rates),))]
    with without_warnings():
        assert "saved" in draw_rates(rates, marks, (60, 20), colour=False)


@MANY
@given(st.lists(st.floats(), max_size=20))
def test_the_window_of_any_numbers_has_a_height(values) -> None:
    known = drawable(values)
    known = known[np.isfinite(known)]
    with without_warnings():
        low, high = window([Curve(known, known)])
    assert -math.inf < low < high < math.inf
    assert all(low <= value <= high for value in known)


LOSSES = st.lists(st.floats(), min_size=1, max_size=4)


@MANY
@given(LOSSES, LOSSES)
@example([1e308, -1e308], [1e200, 1e200])
@example([1e-160, 2e-160], [1e100, -1e100])
@example([0.0, 1e-170], [1.0, 1.0])
def test_whatever_losses_two_groups_have_they_are_compared(ours, theirs) -> None:
    runs = [
        Overview(f"{size}-{n}", "ended", {"size": size, "train": {"dim": size}}, {},
                 {"outcome": {"best_test_loss": loss}})
        for size, losses in (("one", ours), ("two", theirs))
        for n, loss in enumerate(losses)
    ]  # fmt: skip
    with without_warnings():
        for found in differences(groups_of(runs)):
            assert math.isfinite(found.by)
            assert found.p is None or 0 <= found.p <= 1
            assert found.sentence()
