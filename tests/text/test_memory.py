"""Ids that are remembered are those that the library would give."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slangmod.text import memory
from slangmod.text.memory import LONG, Segments
from slangmod.text.segments import HASH_APART, PATTERN, segments, splitting
from tests.text.conftest import HARD, PROSE

ASCII = st.text(st.characters(max_codepoint=127))
SPLITTERS = {pattern: splitting(pattern) for pattern in (PATTERN, HASH_APART)}


def asked(pattern: str) -> tuple[Segments, list[str], list[str]]:
    """What remembers text as its own bytes, and texts and words it had to ask for."""
    texts: list[str] = []
    words: list[str] = []

    def spell(text: str) -> bytes:
        texts.append(text)
        return text.encode("utf-8")

    def spell_words(new: Sequence[str]) -> list[bytes]:
        words.extend(new)
        return [word.encode("ascii") for word in new]

    return Segments(spell, spell_words, pattern), texts, words


@pytest.mark.parametrize("pattern", SPLITTERS)
@given(text=st.text(st.characters(max_codepoint=300)) | st.sampled_from([PROSE, *HARD]))
def test_the_library_is_asked_for_its_own_words(pattern: str, text: str) -> None:
    remembered, texts, words = asked(pattern)
    row = segments(text)
    assert remembered.ids(row) == text.encode("utf-8")
    split = SPLITTERS[pattern].pre_tokenize_str
    plain = [one for one in row if one.isascii()]
    wanted = {one[a:b] for one in plain for _, (a, b) in split(one)}
    assert sorted(words) == sorted(wanted)
    assert sorted(texts) == sorted(set(row).difference(plain))
    assert remembered.ids(row) == text.encode("utf-8")


@given(text=ASCII, other=ASCII)
def test_words_of_a_segment_are_those_of_the_text(text: str, other: str) -> None:
    remembered, _, _ = asked(PATTERN)
    remembered.ids(segments(other))
    assert remembered.ids(segments(text)) == text.encode("ascii")


def test_each_word_is_asked_for_once() -> None:
    remembered, texts, words = asked(PATTERN)
    for _ in range(3):
        remembered.ids(segments("so it was, so it is, and so it shall be"))
    assert texts == []
    assert len(words) == len(set(words)) == 9


def test_a_segment_of_other_letters_is_asked_for_whole() -> None:
    remembered, texts, words = asked(PATTERN)
    remembered.ids(segments("a na\u00efve, na\u00efve, one"))
    assert texts == [" na\u00efve,"]
    assert sorted(words) == [" one", "a"]


def test_so_much_is_remembered_and_no_more(monkeypatch) -> None:
    monkeypatch.setattr(memory, "SEGMENTS", 10)
    monkeypatch.setattr(memory, "WORDS", 5)
    remembered, _, _ = asked(PATTERN)
    remembered.ids(segments(PROSE))
    assert len(remembered._segments) == 10
    assert len(remembered._words) == 5


def test_what_is_long_is_not_remembered() -> None:
    remembered, _, _ = asked(PATTERN)
    short, long = " " + "x" * (LONG - 1), " " + "x" * LONG
    for _ in range(2):
        assert remembered.ids(["a", short, long, " b"]) == f"a{short}{long} b".encode()
    assert set(remembered._segments) == {"a", short, " b"}
