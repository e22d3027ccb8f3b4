"""The order of rows is a permutation, a pure function, and looks like chance."""

import numpy as np
import pytest

from slangmod.data.order import draw_offset, draw_offsets, mix, shuffled


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 100, 1000, 4097])
def test_every_row_comes_exactly_once(size: int) -> None:
    order = shuffled(np.arange(size), size, seed=7, epoch=1)
    assert sorted(order.tolist()) == list(range(size))


def test_an_entry_is_the_same_alone_and_among_others() -> None:
    whole = shuffled(np.arange(1000), 1000, seed=7, epoch=3)
    for place in (0, 1, 500, 999):
        alone = shuffled(np.array([place]), 1000, seed=7, epoch=3)
        assert alone.tolist() == [whole[place]]


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {
        tuple(shuffled(np.arange(50), 50, seed, epoch).tolist())
        for seed in (1, 2, 3)
        for epoch in (1, 2, 3)
    }
    assert len(orders) == 9


def test_rows_land_everywhere_alike() -> None:
    """Chi-square over 10 x 10 cells of (row, place), 2000 epochs of 10 rows."""
    counts = np.zeros((10, 10))
    for epoch in range(2000):
        order = shuffled(np.arange(10), 10, seed=5, epoch=epoch)
        counts[order, np.arange(10)] += 1
    chi_square = ((counts - 200) ** 2 / 200).sum()
    assert chi_square < 150  # 81 degrees of freedom: 99.99 % lie below 135


def test_neighbours_are_torn_apart() -> None:
    order = shuffled(np.arange(10_000), 10_000, seed=1, epoch=1)
    assert np.mean(np.abs(np.diff(order)) == 1) < 0.001


def test_offsets_fill_their_range() -> None:
    offsets = {draw_offset(8, seed=1, epoch=epoch) for epoch in range(1, 200)}
    assert offsets == set(range(8))


@pytest.mark.parametrize("jitter", [0, 1])
def test_no_jitter_means_no_offset(jitter: int) -> None:
    assert {draw_offset(jitter, 1, epoch) for epoch in range(20)} == {0}


def test_mixing_is_the_published_splitmix64() -> None:
    """First outputs of SplitMix64 for state 0 and 1234567, as published."""
    assert mix(0) == 0xE220A8397B1DCDAF
    assert mix(1234567) == 6457827717110365317


@pytest.mark.parametrize("seed", [0, 100, -7, 2**64 - 1, 2**70 + 3])
@pytest.mark.parametrize("jitter", [0, 1, 2, 32, 1000])
def test_many_offsets_are_those_that_are_drawn_one_by_one(jitter: int, seed: int):
    epochs = np.arange(1, 300)
    each = [draw_offset(jitter, seed, int(epoch)) for epoch in epochs]
    assert draw_offsets(jitter, seed, epochs).tolist() == each
