import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex
from tokenizers.normalizers import Replace
from tokenizers.pre_tokenizers import Split

from slangmod.text.segments import (
    HASH_APART,
    LEAST_PIECE,
    LONGEST,
    PATTERN,
    SEGMENT,
    SPACES,
    pieces,
    segments,
    splitting,
    whole_words,
)
from tests.text.conftest import HARD, PROSE

TRICKY = st.text(st.sampled_from("aZé\u03019½ \t\n\r'#!_s中\u3000\x1c\x85"))
TEXTS = st.one_of(st.text(), TRICKY)


def words_of(text, pattern):
    return [word for word, _ in splitting(pattern).pre_tokenize_str(text)]


@pytest.mark.parametrize("pattern", [PATTERN, HASH_APART])
@given(text=TEXTS)
def test_words_of_segments_are_the_words_of_the_text(pattern, text) -> None:
    parts = [word for part in segments(text) for word in words_of(part, pattern)]
    assert parts == words_of(text, pattern)


@given(text=TEXTS, size=st.integers(1, 20))
def test_segments_and_pieces_keep_every_character(text, size) -> None:
    assert "".join(segments(text)) == text
    parts = list(pieces(text, size))
    assert "".join(parts) == text
    assert [s for part in parts for s in segments(part)] == segments(text)


@pytest.mark.parametrize("text", [*HARD, PROSE])
def test_words_keep_every_character(text) -> None:
    split = Split(Regex(PATTERN), "isolated").pre_tokenize_str(text)
    assert "".join(word for word, _ in split) == text


@given(text=st.text())
def test_no_word_is_longer_than_the_bound(text) -> None:
    split = Split(Regex(PATTERN), "isolated").pre_tokenize_str(text * 20)
    assert max((len(word) for word, _ in split), default=0) <= 2 * LONGEST


def test_spaces_are_those_of_the_library() -> None:
    codes = (c for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000)
    everything = "".join(map(chr, codes))
    others = Replace(Regex(r"\s"), "").normalize_str(everything)
    assert re.sub(f"[{SPACES}]", "", everything) == others
    assert len(everything) - len(others) == 25


def test_pieces_are_about_as_long_as_asked_for() -> None:
    lengths = [len(part) for part in pieces(PROSE, 100)]
    assert max(lengths) < 120
    assert len(lengths) > len(PROSE) / 120


STRETCHES = st.lists(
    st.tuples(st.one_of(st.text(max_size=9), TRICKY), st.integers(1, 99)), max_size=9
).map(lambda parts: "".join(text * many for text, many in parts))


@pytest.mark.parametrize("pattern", [PATTERN, HASH_APART])
@given(text=STRETCHES)
def test_pieces_of_whole_words_have_the_words_of_the_text(pattern, text) -> None:
    parts = list(whole_words(text, 1, pattern))
    assert "".join(parts) == text
    words = [word for part in parts for word in words_of(part, pattern)]
    assert words == words_of(text, pattern)


@pytest.mark.parametrize("letters", ["a", "中", "a1", "'s", "#!", "é1\u0301", "x中"])
def test_a_stretch_without_spaces_is_cut_between_words(letters) -> None:
    text = letters * 5000
    for pattern in (PATTERN, HASH_APART):
        parts = list(whole_words(text, 1, pattern))
        assert max(map(len, parts)) <= 2 * LEAST_PIECE
        words = [word for part in parts for word in words_of(part, pattern)]
        assert words == words_of(text, pattern)


@pytest.mark.parametrize("spaces", [" \u3000", " \t", "\n ", " ", " " * 40])
@pytest.mark.parametrize("before", range(9))
def test_no_cut_is_between_spaces_and_a_word(spaces, before) -> None:
    """Else the last word of a piece would be all of the spaces."""
    mixed = f"0000000{spaces}"
    text = "!" * before + mixed * (250 // len(mixed)) + "0" * 2 * LEAST_PIECE
    for pattern in (PATTERN, HASH_APART):
        parts = list(whole_words(text, 1, pattern))
        assert len(parts) > 1
        words = [word for part in parts for word in words_of(part, pattern)]
        assert words == words_of(text, pattern)


def test_a_text_without_spaces_is_not_cut() -> None:
    assert list(pieces("中" * 500, 100)) == ["中" * 500]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's the fox.", ["It", "'s", "Ġthe", "Ġfox", "."]),
        ("'sofa we'll", ["'", "sofa", "Ġwe", "'ll"]),
        (" 12345", ["Ġ123", "45"]),
        ("a  b", ["a", "Ġ", "Ġb"]),
        ("a\n\n  b", ["a", "ĊĊ", "Ġ", "Ġb"]),
        ("##x", ["##", "x"]),
    ],
)
def test_words_are_what_people_would_say(text, words) -> None:
    assert words_of(text, PATTERN) == words


def test_each_hash_is_a_word_where_wordpiece_needs_it() -> None:
    assert words_of("a ##!", HASH_APART) == ["a", "Ġ#", "#", "!"]


def test_segments_are_cut_before_spaces_only() -> None:
    assert SEGMENT.findall(" a, b\n\n c  ") == [" a,", " b", "\n\n c", "  "]
