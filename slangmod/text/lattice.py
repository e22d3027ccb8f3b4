"""All ways to spell many words at once with a set of pieces, as arrays.

Each word of n bytes has n + 1 nodes; an edge is a piece between two of them. Sums and
maxima over paths go through all words together, one position after the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Words:
    """Words as bytes, one after the other."""

    letters: Integers
    """[bytes]"""
    word: Integers
    """[bytes] the word that each byte belongs to"""
    place: Integers
    """[bytes] the place of each byte in its word"""
    length: Integers
    """[words] in bytes"""

    @classmethod
    def of(cls, words: Sequence[bytes]) -> Self:
        """Put ``words`` into arrays."""
        length = np.array([len(word) for word in words], np.int64)
        letters = np.frombuffer(b"".join(words), np.uint8).astype(np.int64)
        word = np.repeat(np.arange(len(words)), length)
        first = np.cumsum(length) - length
        return cls(letters, word, np.arange(len(letters)) - first[word], length)


def find_pieces(words: Words, pieces: Sequence[bytes]) -> Iterator[Integers]:
    """Where pieces occur in words, by length: [2, found] of byte and piece.

    Walks down a tree of the pieces' prefixes from all bytes at once.
    """
    own = Words.of(pieces)
    first = np.cumsum(own.length) - own.length
    walkers = np.arange(len(words.letters))
    at, at_piece = np.zeros_like(walkers), np.zeros_like(first)
    for depth in range(int(own.length.max(initial=0))):
        deep = np.flatnonzero(own.length > depth)
        keys = at_piece[deep] * 256 + own.letters[first[deep] + depth]
        nodes, at_piece[deep] = np.unique(keys, return_inverse=True)
        here = words.place[walkers] + depth < words.length[words.word[walkers]]
        walkers, at = walkers[here], at[here]
        wanted = at * 256 + words.letters[walkers + depth]
        at = np.minimum(np.searchsorted(nodes, wanted), len(nodes) - 1)
        here = nodes[at] == wanted
        walkers, at = walkers[here], at[here]
        ending = np.full(len(nodes), -1)
        whole = deep[own.length[deep] == depth + 1]
        ending[at_piece[whole]] = whole
        found = ending[at] >= 0
        yield np.stack([walkers[found], ending[at[found]]])


@dataclass(frozen=True, eq=False)
class Lattice:
    """The edges between the nodes of all words, in two orders."""

    words: Words
    forward: Integers
    """[4, edges] first node, last node, piece and word, by place of the last node"""
    steps: Integers
    """[edges] the place of the last node in its word, ascending"""

    @classmethod
    def of(cls, words: Words, pieces: Sequence[bytes], *, proper: bool) -> Self:
        """Every occurrence of a piece; ``proper``: but for those that are a word."""
        parts = []
        for span, (byte, piece) in enumerate(find_pieces(words, pieces), 1):
            word = words.word[byte]
            if proper and span > 1:
                inner = words.length[word] > span
                byte, piece, word = byte[inner], piece[inner], word[inner]
            start = byte + word
            parts.append(np.stack([start, start + span, piece, word]))
        edges = np.concatenate(parts, axis=1)
        first = np.cumsum(words.length + 1) - words.length - 1
        places = edges[1] - first[edges[3]]
        order = np.lexsort((edges[2], edges[1], places))
        return cls(words, edges[:, order], places[order])

    def without(
        self, pieces: NDArray[np.bool_], words: NDArray[np.bool_] | None = None
    ) -> Self:
        """Only edges whose piece, and whose word, is True; no ``words``: all words."""
        kept = pieces[self.forward[2]]
        if words is not None:
            kept &= words[self.forward[3]]
        return type(self)(self.words, self.forward[:, kept], self.steps[kept])

    def best(self, scores: Floats) -> Floats:
        """[words] the highest sum of scores over all paths."""
        return self._reach(scores, np.maximum)[self._last()]

    def expected(self, scores: Floats, counts: Floats) -> Floats:
        """[pieces] how often each piece occurs, over all paths by their likelihood.

        ``scores`` [pieces] are logarithms of probabilities, ``counts`` [words] how
        often each word occurs.
        """
        ahead = self._reach(scores, np.logaddexp)
        behind = self._reach_back(scores)
        start, end, piece, word = self.forward
        total = ahead[self._last()][word]
        share = np.exp(ahead[start] + scores[piece] + behind[end] - total)
        return np.bincount(piece, share * counts[word], len(scores))

    def _last(self) -> Integers:
        return np.cumsum(self.words.length + 1) - 1

    def _reach(self, scores: Floats, combine: Any) -> Floats:
        """[nodes] ``combine`` over all paths from the first node to each."""
        start, end, piece, _ = self.forward
        reached = np.zeros(len(self.words.letters) + len(self.words.length))
        for group in _groups(self.steps):
            nodes, begins = np.unique(end[group], return_index=True)
            along = reached[start[group]] + scores[piece[group]]
            reached[nodes] = combine.reduceat(along, begins)
        return reached

    def _reach_back(self, scores: Floats) -> Floats:
        """[nodes] the logarithm of the sum over all paths from each to the last."""
        start, end, piece, _ = self.forward
        places = self.steps - (end - start)
        order = np.lexsort((start, -places))
        reached = np.zeros(len(self.words.letters) + len(self.words.length))
        for group in _groups(-places[order]):
            edges = order[group]
            nodes, begins = np.unique(start[edges], return_index=True)
            along = reached[end[edges]] + scores[piece[edges]]
            reached[nodes] = np.logaddexp.reduceat(along, begins)
        return reached


def _groups(ascending: Integers) -> Iterator[slice]:
    """Slices of equal values."""
    begins = np.flatnonzero(np.diff(ascending, prepend=ascending[:1] - 1)).tolist()
    for begin, end in pairwise([*begins, len(ascending)]):
        yield slice(begin, end)
