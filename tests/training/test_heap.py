from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from slangmod.training.heap import FIRST_THRESHOLD, LARGEST_THRESHOLD, Heap
from slangmod.training.heap import resident_peak as peak_of

MB = 1 << 20


def test_a_large_block_is_mapped_and_given_back_at_once():
    heap = Heap()
    block = heap.take(40 * MB)
    assert heap.resident >= 40 * MB
    heap.give_back(*block)
    assert heap.resident == 0
    assert heap.peak >= 40 * MB


def test_what_was_mapped_and_freed_raises_the_threshold_up_to_a_limit():
    heap = Heap()
    assert heap.threshold == FIRST_THRESHOLD
    heap.give_back(*heap.take(3 * MB))
    assert 3 * MB <= heap.threshold < 3 * MB + 8192
    heap.give_back(*heap.take(2 * LARGEST_THRESHOLD))
    assert heap.threshold < 4 * MB


def test_a_hole_between_blocks_stays_resident():
    heap = Heap()
    heap.give_back(*heap.take(8 * MB))  # from now on such blocks are of the heap
    first, second = heap.take(5 * MB), heap.take(5 * MB)
    heap.give_back(*first)
    assert heap.resident > 9 * MB
    heap.give_back(*second)


def test_a_smaller_block_fits_into_a_hole_and_one_of_its_size_does_not():
    heap = Heap()
    heap.give_back(*heap.take(8 * MB))
    first, _second = heap.take(4 * MB), heap.take(4 * MB)
    heap.give_back(*first)
    before = heap.resident
    third = heap.take(3 * MB)
    assert heap.resident == before
    heap.give_back(*third)
    heap.take(4 * MB)
    assert heap.resident > before + 3 * MB


def test_kept_memory_is_neither_mapped_nor_given_back():
    heap = Heap(kept=True)
    first, second = heap.take(40 * MB), heap.take(3 * MB)
    assert heap.mapped == 0
    heap.give_back(*second)
    heap.give_back(*first)
    held = heap.resident
    assert held >= 43 * MB
    heap.take(39 * MB)  # of the same pages
    assert heap.resident == held


@given(st.lists(st.tuples(st.integers(1, 4 * MB), st.integers(0, 30)), max_size=80))
def test_blocks_never_overlap_and_what_is_resident_covers_what_is_held(plan):
    heap, held = Heap(), {}
    most = 0
    for number, (size, victim) in enumerate(plan):
        held[number] = size, heap.take(size)
        if victim in held:
            heap.give_back(*held.pop(victim)[1])
        spans = sorted(block for _, block in held.values() if block[0] >= 0)
        for (start, length), (after, _) in pairwise(spans):
            assert start + length <= after
        wanted = sum(size for size, _ in held.values())
        most = max(most, wanted)
        assert heap.resident >= wanted
        assert all(length >= size for size, (_, length) in held.values())
    assert heap.peak >= most


def test_the_peak_of_events_is_that_of_blocks_held_together():
    one_by_one = [(0, 40 * MB), (0, 0), (1, 40 * MB), (1, 0)]
    together = [(0, 40 * MB), (1, 40 * MB), (0, 0), (1, 0)]
    assert 40 * MB <= peak_of(one_by_one) < 41 * MB
    assert 80 * MB <= peak_of(together) < 81 * MB
