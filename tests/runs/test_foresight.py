import pytest

from slangmod.runs.foresight import MARGIN, Marks, draw_rates, row_of

RATES = [0.001 * step / 50 for step in range(1, 51)] + [0.001] * 50


@pytest.mark.parametrize("size", [(80, 16), (100, 20), (60, 14)])
def test_the_drawing_fits_and_has_a_row_for_each_kind_of_mark(size):
    marks = [Marks("tested", "x", (50, 100)), Marks("saved", "o", (100,))]
    lines = draw_rates(RATES, marks, size, False).splitlines()
    assert max(map(len, lines)) <= size[0]
    assert len(lines) <= size[1]
    assert lines[-2].split() == ["tested", "x", "x"]
    assert lines[-1].split() == ["saved", "o"]
    assert "0.001" in "".join(lines)


def test_marks_stand_below_the_step_they_belong_to():
    lines = draw_rates(RATES, [Marks("tested", "x", (100,))], (80, 16), False)
    frame = next(line for line in lines.splitlines() if line.rstrip().endswith("┐"))
    assert lines.splitlines()[-1].index("x") == frame.rstrip().index("┐") - 1


def test_a_rate_that_is_always_zero_can_be_drawn():
    assert "learning rate" in draw_rates([0.0, 0.0], [], (60, 12), False)


def test_a_row_takes_any_number_of_marks():
    row = row_of(Marks("saved", "x", tuple(range(1, 10_001))), 10_000, 50)
    assert row[MARGIN:] == "x" * 50


def test_only_a_terminal_gets_colours():
    assert "\x1b[" not in draw_rates(RATES, [], (60, 12), False)
    assert "\x1b[" in draw_rates(RATES, [], (60, 12), True)
