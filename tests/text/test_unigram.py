import math
from itertools import product

import numpy as np
import pytest

from slangmod.text.bytelevel import SPELLING, spelled
from slangmod.text.lattice import Lattice, Words, find_pieces
from slangmod.text.segments import PATTERN
from slangmod.text.unigram import candidates, learn_pieces
from slangmod.text.words import count_words
from tests.text.conftest import PROSE

WORDS = [b"banana", b"an", b"b", b"nab"]
PIECES = [bytes([c]) for c in b"abn"] + [b"an", b"na", b"ana", b"nan", b"banana", b"zz"]
SCORES = np.log(np.array([0.2, 0.1, 0.1, 0.2, 0.1, 0.1, 0.05, 0.1, 0.05]))


def spellings(word, pieces):
    """All ways to write ``word`` as a list of indices of ``pieces``."""
    if not word:
        return [[]]
    return [
        [index, *rest]
        for index, piece in enumerate(pieces)
        if word.startswith(piece)
        for rest in spellings(word[len(piece) :], pieces)
    ]


def total(path):
    return sum(SCORES[index] for index in path)


def test_pieces_are_found_wherever_they_occur() -> None:
    found = find_pieces(Words.of([b"banana", b"nab"]), PIECES)
    text = b"banananab"
    places = {(int(at), PIECES[piece]) for part in found for at, piece in part.T}
    expected = {
        (at, piece)
        for at, piece in product(range(9), PIECES)
        if text[at:].startswith(piece) and not (at < 6 < at + len(piece))
    }
    assert places == expected


def test_the_best_path_is_the_best_of_all_spellings() -> None:
    best = Lattice.of(Words.of(WORDS), PIECES, proper=False).best(SCORES)
    expected = [max(map(total, spellings(word, PIECES))) for word in WORDS]
    assert best == pytest.approx(expected)


def test_a_proper_lattice_never_takes_the_word_whole() -> None:
    best = Lattice.of(Words.of(WORDS), PIECES, proper=True).best(SCORES)
    expected = [
        max(
            total(path)
            for path in spellings(word, PIECES)
            if len(path) > 1 or len(word) == 1
        )
        for word in WORDS
    ]
    assert best == pytest.approx(expected)


def test_expected_counts_are_sums_over_all_spellings() -> None:
    counts = np.array([3.0, 5.0, 2.0, 7.0])
    lattice = Lattice.of(Words.of(WORDS), PIECES, proper=False)
    expected = np.zeros(len(PIECES))
    for word, count in zip(WORDS, counts, strict=True):
        paths = spellings(word, PIECES)
        weights = [math.exp(total(path)) for path in paths]
        for path, weight in zip(paths, weights, strict=True):
            for index in path:
                expected[index] += count * weight / sum(weights)
    assert lattice.expected(SCORES, counts) == pytest.approx(expected)


def test_edges_can_be_left_out() -> None:
    lattice = Lattice.of(Words.of(WORDS), PIECES, proper=False)
    kept = np.array([len(piece) == 1 for piece in PIECES])
    best = lattice.without(kept).best(SCORES)
    letters = {
        piece[0]: score for piece, score in zip(PIECES[:3], SCORES, strict=False)
    }
    assert best == pytest.approx([sum(letters[c] for c in word) for word in WORDS])


def test_candidates_are_the_frequent_parts_of_words() -> None:
    counts = {b"banana": 2, b"ban": 3, b"x": 9, b"xy": 1}
    words = Words.of(list(counts))
    often = np.array(list(counts.values()), float)
    found = candidates(words, often, 3, 2, 99)
    assert found == {
        b"an": 7, b"ban": 5, b"ba": 5, b"na": 4, b"ana": 4, b"nan": 2,
    }  # fmt: skip
    assert list(candidates(words, often, 3, 2, 2)) == [b"ban", b"an"]


def test_pieces_come_with_all_bytes_likeliest_first() -> None:
    counts = count_words([PROSE], PATTERN)
    pieces = learn_pieces(
        counts, vocab=400, max_len=16, min_freq=0, shrink_factor=0.75, n_iter=2
    )
    assert len(pieces) == 400
    assert set(SPELLING) <= set(pieces)
    scores = list(pieces.values())
    assert scores == sorted(scores, reverse=True)
    assert sum(map(math.exp, scores)) == pytest.approx(1, abs=1e-3)
    assert spelled(b" quick") in pieces


def test_more_rounds_never_make_the_text_less_likely() -> None:
    counts = {b"abab": 5, b"aab": 3, b"b": 2}
    words = Words.of(list(counts))
    often = np.array(list(counts.values()), float)
    pieces = [b"a", b"b", b"ab", b"aab"]
    lattice = Lattice.of(words, pieces, proper=False)
    scores = np.log(np.full(4, 0.25))
    likelihood = []
    for _ in range(6):
        seen = lattice.expected(scores, often)
        paths = [spell(word, pieces, scores) for word in counts]
        likelihood.append(float(often @ np.array(paths)))
        scores = np.log(seen / seen.sum())
    assert likelihood == sorted(likelihood)
    assert likelihood[0] < likelihood[-1]


def spell(word, pieces, scores):
    """Logarithm of the likelihood of ``word``."""
    paths = spellings(word, pieces)
    return math.log(sum(math.exp(sum(scores[i] for i in path)) for path in paths))
