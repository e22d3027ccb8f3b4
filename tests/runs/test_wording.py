import pytest

from slangmod.runs.wording import short_count, short_time


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (999.7, "1k"),
        (9449, "9.4k"),
        (9960, "10k"),
        (41234, "41k"),
        (999_600, "1M"),
        (1.25e9, "1.2G"),
    ],
)
def test_counts_are_short(number, text):
    assert short_count(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0s"), (59.6, "1m00s"), (200, "3m20s"), (3720, "1h02m"), (90000, "25h00m")],
)
def test_times_are_short(seconds, text):
    assert short_time(seconds) == text
