"""Learning byte pair encoding (Sennrich et al. 2016) from words and their counts.

The most frequent pair of neighbours becomes one piece, over and over; of equally
frequent pairs, the one with the smaller ids. Each different word is held once, with how
often it occurs, and all places of a pair are merged at once, by arrays.

What is learnt is, merge for merge, what the trainer of the tokenizers library learns.
To that belongs its numbering of bytes, by the letters that spell them, and that the
count of a pair goes on from where it was when the pair was merged.
"""

from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING, Final

from slangmod.text.bytelevel import SPELLING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

NOTHING, GONE = -1, -2
"""Symbols beyond the ends of words, and where a piece was merged into its left."""

BITS: Final = 32
"""A pair of ids is one number, the left shifted by so many bits."""
RIGHT: Final = (1 << BITS) - 1


def learn_merges(
    counts: Mapping[bytes, int], *, vocab: int, min_freq: int
) -> list[tuple[bytes, bytes]]:
    """The pairs to merge, first to last: at most until there are ``vocab`` pieces.

    The 256 bytes are among these. Pairs that occur less than ``min_freq`` times are
    not merged. Two merges may make the same piece.
    """
    pieces = [bytes([SPELLING.index(letter)]) for letter in sorted(SPELLING)]
    ids = {piece: token for token, piece in enumerate(pieces)}
    row = Row(counts, [ids[bytes([byte])] for byte in range(256)])
    merges: dict[int, None] = {}
    while len(pieces) < vocab:
        pair = row.most_frequent(max(1, min_freq))
        if pair is None:
            break
        left, right = pair >> BITS, pair & RIGHT
        piece = pieces[left] + pieces[right]
        token = ids.setdefault(piece, len(pieces))
        if token == len(pieces):
            pieces.append(piece)
        merges.pop(pair, None)  # one that comes again ranks where it comes last
        merges[pair] = None
        row.merge(left, right, token)
    return [(pieces[pair >> BITS], pieces[pair & RIGHT]) for pair in merges]


class Row:
    """All different words in a row, as ids, and where each pair of them is.

    symbols: [letters + 1]; of a merged pair, the left place has the new id and the
    right one GONE. before, after: the neighbours of each place; beyond the ends of a
    word that is the last place, which has NOTHING. often: how often its word occurs.
    """

    def __init__(self, counts: Mapping[bytes, int], id_of_byte: list[int]) -> None:
        import numpy as np

        words = [word for word in counts if word]
        lengths = np.array([len(word) for word in words], np.int64)
        letters = np.frombuffer(b"".join(words), np.uint8)
        size = len(letters)
        last = np.cumsum(lengths) - 1
        self.symbols = np.append(np.array(id_of_byte, np.int64)[letters], NOTHING)
        self.before = np.arange(-1, size)
        self.after = np.arange(1, size + 2)
        self.before[last - lengths + 1] = self.after[last] = size
        self.before[size] = self.after[size] = size
        each = np.array([counts[word] for word in words], np.int64)
        self.often = np.append(np.repeat(each, lengths), 0)
        self.count: dict[int, int] = {}
        self.places: list[Ints] = []
        self.heap: list[tuple[int, int, int]] = []
        self.now = np.zeros(0, np.int64)
        within = np.flatnonzero(self.after[:size] < size)
        pairs = self.symbols[within] << BITS | self.symbols[within + 1]
        for pair, count, places in grouped(pairs, self.often[within], within):
            self.count[pair] = count
            self.heap.append((-count, pair, len(self.places)))
            self.places.append(places)
        heapify(self.heap)

    def most_frequent(self, least: int) -> int | None:
        """The pair to merge next, None if all occur less than ``least`` times.

        Counts on the heap are of when they were put there, and have fallen since.
        """
        while self.heap:
            negative, pair, entry = self.heap[0]
            count = self.count[pair]
            if count != -negative:
                heapreplace(self.heap, (-count, pair, entry))
                continue
            if count < least:
                return None
            heappop(self.heap)
            self.now = self.places[entry]
            self.places[entry] = self.now[:0]
            return pair
        return None

    def merge(self, left: int, right: int, token: int) -> None:
        """Make ``left`` and ``right`` one symbol wherever they were found."""
        import numpy as np

        symbols, before, after = self.symbols, self.before, self.after
        at = self.now
        at = at[(symbols[at] == left) & (symbols[after[at]] == right)]
        if left == right:
            at = every_other(np.unique(at), after)
        gone = after[at]
        ahead, behind, often = before[at], after[gone], self.often[at]
        old = symbols[behind]
        symbols[gone] = GONE
        symbols[at] = token
        after[at], before[behind] = behind, at
        new, first = symbols[behind], symbols[ahead]
        # Where two merged pairs touch, the right neighbour of the first tells of both.
        one, two = first >= 0, old >= 0
        first, ahead = first[one], ahead[one]
        often = np.concatenate((often[one], often[two]))
        lost = np.concatenate((first << BITS | left, right << BITS | old[two]))
        won = np.concatenate((first << BITS | token, token << BITS | new[two]))
        for pair, count, _ in grouped(lost, often, lost):
            self.count[pair] -= count
        for pair, count, places in grouped(
            won, often, np.concatenate((ahead, at[two]))
        ):
            total = self.count[pair] = self.count.get(pair, 0) + count
            if total > 0:
                heappush(self.heap, (-total, pair, len(self.places)))
                self.places.append(places)


def grouped(
    pairs: "Ints", often: "Ints", places: "Ints"
) -> "Iterator[tuple[int, int, Ints]]":
    """Each different pair, the sum of its ``often``, and all of its ``places``."""
    import numpy as np

    if not len(pairs):
        return
    order = np.argsort(pairs, kind="stable")
    pairs, places = pairs[order], places[order]
    first = np.empty(len(pairs), bool)
    first[0] = True
    np.not_equal(pairs[1:], pairs[:-1], out=first[1:])
    begins = first.nonzero()[0]
    sums = np.add.reduceat(often[order], begins).tolist()
    ends = [*begins.tolist()[1:], len(pairs)]
    begin = 0
    for pair, count, end in zip(pairs[begins].tolist(), sums, ends, strict=True):
        yield pair, count, places[begin:end]
        begin = end


def every_other(at: "Ints", after: "Ints") -> "Ints":
    """Of places that follow each other without a gap, the first, the third, and so on.

    So "aaaaa" becomes "(aa)(aa)a". ``at`` is sorted.
    """
    import numpy as np

    number = np.arange(len(at))
    begins = np.append(True, after[at[:-1]] != at[1:])[: len(at)]
    run = np.maximum.accumulate(np.where(begins, number, 0))
    chosen: Ints = at[(number - run) % 2 == 0]
    return chosen
