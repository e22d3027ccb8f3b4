from collections import Counter

import pytest

from slangmod.text import words
from slangmod.text.bytelevel import unspelled
from slangmod.text.segments import HASH_APART, PATTERN, splitting
from slangmod.text.words import count_words
from tests.text.conftest import HARD, PROSE

TEXTS = [*HARD, PROSE, PROSE.upper()]


def by_the_library(texts, pattern):
    split = splitting(pattern).pre_tokenize_str
    return Counter(unspelled(word) for text in texts for word, _ in split(text))


def test_words_are_counted_over_all_texts():
    counts = count_words(["a fox, a", " fox"], PATTERN)
    assert counts == {b"a": 1, b" fox": 2, b",": 1, b" a": 1}


@pytest.mark.parametrize("pattern", [PATTERN, HASH_APART])
def test_words_are_those_of_the_library(pattern):
    assert count_words(TEXTS, pattern) == by_the_library(TEXTS, pattern)


def test_how_many_segments_are_kept_makes_no_difference(monkeypatch):
    monkeypatch.setattr(words, "SEGMENTS", 3)
    assert count_words(TEXTS, PATTERN) == by_the_library(TEXTS, PATTERN)


def test_after_how_much_text_words_are_counted_makes_no_difference(monkeypatch):
    monkeypatch.setattr(words, "CHARACTERS", 50)
    assert count_words(TEXTS, PATTERN) == by_the_library(TEXTS, PATTERN)


def test_no_long_stretch_is_kept_whole(monkeypatch):
    kept = []
    add = words.Counting.add

    def watched(counting, text):
        add(counting, text)
        kept.append(sum(map(len, counting._segments)))

    monkeypatch.setattr(words.Counting, "add", watched)
    monkeypatch.setattr(words, "PIECE", 1000)
    monkeypatch.setattr(words, "CHARACTERS", 9000)
    texts = [f"{number}{'a中'[number % 2] * 50000}" for number in range(9)]
    assert count_words(texts, PATTERN) == by_the_library(texts, PATTERN)
    assert max(kept) <= 9000
    assert len(kept) > 300


def test_of_too_many_words_that_come_often_the_rarest_are_forgotten(monkeypatch):
    monkeypatch.setattr(words, "SEGMENTS", 0)
    monkeypatch.setattr(words, "WORDS", 3)
    text = "".join(
        f" {word}" * many for word, many in zip("abcd", (2, 2, 9, 3), strict=True)
    )
    assert count_words([text], PATTERN) == {b" c": 9, b" d": 3}


def test_of_too_many_words_those_seen_once_are_forgotten(monkeypatch):
    monkeypatch.setattr(words, "SEGMENTS", 0)
    monkeypatch.setattr(words, "WORDS", 2)
    assert count_words(["a a b", " c d"], PATTERN) == {b" c": 1, b" d": 1}
    assert count_words(["a b b c", " d"], PATTERN) == {b" b": 2, b" d": 1}
