import pytest
from hypothesis import given
from hypothesis import strategies as st

from slangmod.search.dimensions import Choice, Interval
from slangmod.search.shares import share_of, value_of

DIMENSIONS = [
    Choice(("a", "b", "c")),
    Interval(0.5, 2.0),
    Interval(1e-4, 1e-1, log=True),
    Interval(0.0, 0.9, step=0.3),
    Interval(1, 8, whole=True),
    Interval(1, 1000, log=True, whole=True),
    Interval(3.0, 3.0),
]


@pytest.mark.parametrize("dimension", DIMENSIONS)
@given(share=st.floats(0, 1))
def test_any_share_is_a_value_of_the_space_and_leads_back_to_it(dimension, share):
    value = value_of(dimension, share)
    if isinstance(dimension, Choice):
        assert value in dimension.values
    else:
        assert dimension.low <= value <= dimension.high
        assert isinstance(value, int) or not dimension.whole
    assert value_of(dimension, share_of(dimension, value)) == pytest.approx(value)


def test_the_middle_of_a_logarithmic_scale_is_the_geometric_mean():
    assert value_of(Interval(1e-4, 1e-2, log=True), 0.5) == pytest.approx(1e-3)


def test_whole_numbers_have_equal_parts_of_the_way():
    values = [value_of(Interval(1, 4, whole=True), (n + 0.5) / 400) for n in range(400)]
    assert [values.count(number) for number in range(1, 5)] == [100] * 4
