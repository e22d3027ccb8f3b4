import numpy as np
import pytest

from slangmod.runs.curves import read_curves, round_numbers
from slangmod.runs.terminal import draw_text


def test_a_drawing_has_the_size_asked_for(make_run):
    runs = (read_curves(make_run("first"), "step"),)
    for size in ((100, 36), (60, 12), (40, 10)):
        lines = draw_text(runs, "step", size, colour=False).rstrip("\n").split("\n")
        assert len(lines) == size[1]
        assert all(len(line) <= size[0] for line in lines)


def test_one_run_shows_training_and_test_loss_and_the_rate(make_run):
    text = draw_text(
        (read_curves(make_run("first"), "step"),), "step", (100, 36), False
    )
    for word in (
        "training",
        "test",
        "nats per token",
        "learning rate",
        "optimizer steps",
    ):
        assert word in text
    assert text.count("●") == 7  # six evaluations and the legend


def test_several_runs_are_told_apart_by_marks(make_run):
    runs = tuple(read_curves(make_run(name), "tokens") for name in ("one", "two"))
    text = draw_text(runs, "tokens", (100, 36), False)
    for part in ("● one", "■ two", "target tokens"):
        assert part in text


def test_a_run_without_test_losses_shows_its_training(make_run):
    runs = tuple(
        read_curves(make_run(name, evaluations=n), "tokens")
        for name, n in (("one", 6), ("two", 0))
    )
    assert "two (training)" in draw_text(runs, "tokens", (100, 36), False)


def test_colours_are_used_only_where_they_are_wanted(make_run):
    runs = (read_curves(make_run("first"), "step"),)
    assert "\x1b" not in draw_text(runs, "step", (80, 24), colour=False)
    assert "\x1b[38;5;33m" in draw_text(runs, "step", (80, 24), colour=True)


def test_a_run_with_a_single_row_can_be_drawn(make_run):
    runs = (read_curves(make_run("first", steps=1, evaluations=1), "step"),)
    assert "learning rate" in draw_text(runs, "step", (80, 30), colour=False)


@pytest.mark.parametrize("low", [-3.0, 0.0, 1.7, 999.0])
@pytest.mark.parametrize("height", [1e-6, 0.3, 1.0, 12345.0])
@pytest.mark.parametrize("most", [2, 5, 9])
def test_ticks_are_few_round_and_inside(low, height, most):
    numbers = round_numbers(low, low + height, most)
    assert len(numbers) <= most + 1
    assert low - 1e-6 * height <= min(numbers, default=low)
    assert max(numbers, default=low) <= low + height * (1 + 1e-6)
    if len(numbers) > 2:
        gaps = np.diff(numbers)
        assert np.allclose(gaps, gaps[0], rtol=1e-3)
