from slangmod.search.dimensions import Choice, Interval


def test_steps_add_up_as_they_are_written():
    assert Interval(0.1, 0.5, step=0.1).grid() == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert Interval(1, 3, whole=True).grid() == (1, 2, 3)
    assert Interval(0.0, 1.0).grid() is None


def test_values_are_counted_without_making_them():
    assert Interval(1, 10**12, whole=True).count == 10**12
    assert Interval(2.0, 2.0).count == 1
    assert Interval(0.0, 1.0).count is None
    assert Choice((1, 2)).count == 2
