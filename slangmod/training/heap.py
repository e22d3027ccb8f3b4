"""How much of memory stays resident: a model of the allocator of the GNU C library.

The system sees more than is held, because free memory between two blocks in use stays
with the process. The rules are those of malloc in glibc (malloc/malloc.c, mallopt(3)):
a block is taken from the smallest free piece that is large enough, else from the end
of the heap, which grows; where it is larger than a threshold, it is mapped by itself
and given back at once. The threshold begins at 128 KiB and rises to the largest mapped
block that was freed, up to 32 MiB. The end of the heap is given back where more than
twice the threshold is free there. A process that keeps its memory
(``training/allocator.py``) maps no block and gives nothing back.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from sys import maxsize
from typing import Final

PAGE: Final = 4096
FIRST_THRESHOLD: Final = 128 << 10
LARGEST_THRESHOLD: Final = 32 << 20
PADDING: Final = 128 << 10
"""Bytes by which the heap grows, or is left, beyond what is needed."""
HEADER: Final = 8
"""Bytes before each block that hold its size."""
GRAIN: Final = 16
"""Sizes of blocks are multiples of so many bytes."""
LEAST: Final = 32
"""Bytes of the smallest piece."""
ALIGNMENT: Final = 64
"""Addresses of tensors are multiples of so many bytes."""

FRAGMENTS: Final = 100
"""Fragments beside aligned blocks that are in use at a time. The library keeps seven
of each size for small objects, tensors and nodes of the graph, which take them again
and again. Half as many, or twice, change the whole by 3 % in a training of a GiB."""


class Heap:
    """Blocks from one heap, by address, and mapped ones beside it.

    ``kept``: memory that is freed stays with the process. That its pages are large, and
    the last of them in use only in part, is left aside.
    """

    def __init__(self, *, kept: bool = False) -> None:
        self.threshold = self.trim_at = maxsize if kept else FIRST_THRESHOLD
        self.mapped = 0
        self.top = 0
        """address from which on nothing is in use"""
        self.end = 0
        """address where the heap ends"""
        self.touched = 0
        """address up to which pages are resident"""
        self.peak = 0
        self._sizes: list[tuple[int, int]] = []  # free pieces by size, address
        self._fragments: deque[tuple[int, int]] = deque()
        self._starts: dict[int, int] = {}  # address -> size of free pieces
        self._ends: dict[int, int] = {}  # end -> address of free pieces

    @property
    def resident(self) -> int:
        """Bytes that the system counts."""
        return self.mapped + self.touched

    def take(self, size: int) -> tuple[int, int]:
        """A block of ``size`` bytes, aligned -> its address, -1 if mapped; its size.

        As posix_memalign does: a larger block is taken, and what lies before and after
        the aligned one within it becomes a fragment that small objects soon fill. A
        hole that a block has left is thus just too small for another of its size, and
        does not melt with what comes after it.
        """
        size = -(-(size + HEADER) // GRAIN) * GRAIN
        start, length = self._cut(size + ALIGNMENT + LEAST)
        if start < 0:
            return start, length
        before = -(start + 2 * HEADER) % ALIGNMENT
        if 0 < before < LEAST:
            before += ALIGNMENT
        if before:
            self._fragments.append((start, before))
        after = length - before - size
        if after >= LEAST:
            self._fragments.append((start + before + size, after))
        else:
            size += after
        while len(self._fragments) > FRAGMENTS:
            self.give_back(*self._fragments.popleft())
        return start + before, size

    def _cut(self, size: int) -> tuple[int, int]:
        """As ``take``, of any alignment and with header."""
        place = bisect_left(self._sizes, (size, 0))
        if place < len(self._sizes):
            length, address = self._sizes[place]
            self._forget(address, length)
            if length - size < LEAST:
                return address, length
            self._keep(address + size, length - size)
        elif self.end - self.top < size >= self.threshold:
            address, size = -1, -(-size // PAGE) * PAGE
            self.mapped += size
        else:
            address = self.top
            self.top += size
            if self.top > self.end:
                self.end = -(-(self.top + PADDING) // PAGE) * PAGE
            self.touched = max(self.touched, self.top)
        self.peak = max(self.peak, self.resident)
        return address, size

    def give_back(self, address: int, size: int) -> None:
        """Free the block that ``take`` gave."""
        if address < 0:
            self.mapped -= size
            if self.threshold < size <= LARGEST_THRESHOLD:
                self.threshold, self.trim_at = size, 2 * size
            return
        if address in self._ends:
            before = self._ends[address]
            self._forget(before, address - before)
            address, size = before, size + address - before
        if address + size in self._starts:
            more = self._starts[address + size]
            self._forget(address + size, more)
            size += more
        if address + size < self.top:
            self._keep(address, size)
            return
        self.top = address
        if self.end - self.top >= self.trim_at:
            self.end = -(-(self.top + PADDING) // PAGE) * PAGE
            self.touched = min(self.touched, self.end)

    def _keep(self, address: int, size: int) -> None:
        insort(self._sizes, (size, address))
        self._starts[address] = size
        self._ends[address + size] = address

    def _forget(self, address: int, size: int) -> None:
        del self._sizes[bisect_left(self._sizes, (size, address))]
        del self._starts[address], self._ends[address + size]


def resident_peak(events: Iterable[tuple[int, int]], *, kept: bool = False) -> int:
    """Most bytes that are resident while blocks come and go.

    ``events``: number of a block, and its bytes, 0 where it is given back. ``kept``: by
    a process that keeps its memory.

    >>> resident_peak([(0, 4000), (1, 5000), (0, 0), (2, 6000)]) > 15000
    True
    """
    heap, blocks = Heap(kept=kept), dict[int, tuple[int, int]]()
    for number, size in events:
        if size:
            blocks[number] = heap.take(size)
        else:
            heap.give_back(*blocks.pop(number))
    return heap.peak
