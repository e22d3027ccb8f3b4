"""Which row comes when: a pure function of seed, epoch and place, with no state.

The order of an epoch is a permutation that is computed where it is asked for, entry by
entry, in a few integer operations. Nothing is shuffled in memory, so that any row of
any epoch is known at once: to a resumed run, to a second device, to a test.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

_ROUNDS: Final = 6
_MASK: Final = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """One well-stirred 64-bit number from several; equal input gives equal output.

    The stirring is the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast
    splittable pseudorandom number generators", 2014), chained over the numbers.
    """
    state = 0
    for number in numbers:
        state = (state + 0x9E3779B97F4A7C15 + (number & _MASK)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def draw_offset(jitter: int, seed: int, epoch: int) -> int:
    """The offset of an epoch in tokens, uniform over ``0 .. jitter - 1``."""
    return mix(seed, epoch, 1) % jitter if jitter > 1 else 0


def draw_offsets(jitter: int, seed: int, epochs: Integers) -> Integers:
    """``draw_offset`` of each of ``epochs``, of very many of them soon."""
    if jitter <= 1:
        return np.zeros(len(epochs), np.int64)
    state = np.zeros(len(epochs), np.uint64)
    for number in (np.uint64(seed & _MASK), epochs.astype(np.uint64), np.uint64(1)):
        state = state + np.uint64(0x9E3779B97F4A7C15) + number
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state % np.uint64(jitter)).astype(np.int64)


def shuffled(places: Integers, size: int, seed: int, epoch: int) -> Integers:
    """Entries at ``places`` of the permutation of ``range(size)`` of this epoch.

    A Feistel network over the smallest even number of bits that holds ``size``,
    repeated for the entries that fall outside (cycle walking; Black and Rogaway,
    "Ciphers with arbitrary finite domains", 2002): a bijection by construction.

    >>> sorted(shuffled(np.arange(5), 5, seed=1, epoch=3).tolist())
    [0, 1, 2, 3, 4]
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    keys = [np.uint64(mix(seed, epoch, 2, index)) for index in range(_ROUNDS)]
    entries = _feistel(places.astype(np.uint64), half, keys)
    while (outside := entries >= size).any():
        entries[outside] = _feistel(entries[outside], half, keys)
    return entries.astype(np.int64)


def _feistel(
    values: NDArray[np.uint64], half: int, keys: list[np.uint64]
) -> NDArray[np.uint64]:
    bits, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> bits, values & mask
    for key in keys:
        stirred = (right ^ key) * np.uint64(0xBF58476D1CE4E5B9)
        stirred = (stirred ^ (stirred >> np.uint64(29))) * np.uint64(0x94D049BB133111EB)
        left, right = right, left ^ ((stirred >> np.uint64(32)) & mask)
    return (left << bits) | right
