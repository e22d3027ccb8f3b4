"""Ids that are remembered are those that the library would give."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slangmod.text import memory
from slangmod.text.memory import LONG, Remembered, Segments
from slangmod.text.segments import HASH_APART, PATTERN, segments, splitting
from tests.text.conftest import HARD, PROSE

ASCII = st.text(st.characters(max_codepoint=127))
SPLITTERS = {pattern: splitting(pattern) for pattern in (PATTERN, HASH_APART)}


def asked(pattern: str) -> tuple[Segments, list[str]]:
    """What remembers text as its own bytes, and the texts it had to ask for."""
    texts: list[str] = []

    def spell(text: str) -> bytes:
        texts.append(text)
        return text.encode("utf-8")

    return Segments(spell, pattern), texts


@pytest.mark.parametrize("pattern", SPLITTERS)
@given(text=ASCII | st.sampled_from([PROSE, *HARD]))
def test_the_library_is_asked_for_its_own_words(pattern: str, text: str) -> None:
    text = text.encode("ascii", "ignore").decode("ascii")
    remembered, texts = asked(pattern)
    assert remembered.ids(segments(text)) == text.encode("ascii")
    words = SPLITTERS[pattern].pre_tokenize_str(text)
    assert set(texts) == {text[begin:end] for _, (begin, end) in words}


def test_each_word_is_asked_for_once() -> None:
    remembered, texts = asked(PATTERN)
    for _ in range(3):
        remembered.ids(segments("so it was, so it is, and so it shall be"))
    assert len(texts) == len(set(texts)) == 9


def test_a_segment_of_other_letters_is_asked_for_whole() -> None:
    remembered, texts = asked(PATTERN)
    remembered.ids(segments("na\u00efve, na\u00efve,"))
    assert texts == ["na\u00efve,", " na\u00efve,"]


def test_so_much_is_remembered_and_no_more(monkeypatch) -> None:
    monkeypatch.setattr(memory, "SEGMENTS", 10)
    monkeypatch.setattr(memory, "WORDS", 5)
    remembered, _ = asked(PATTERN)
    remembered.ids(segments(PROSE))
    assert len(remembered._segments) == 10
    assert len(remembered._words) == 5


def test_what_is_long_is_not_remembered() -> None:
    remembered = Remembered(str.encode)
    for length in (LONG, LONG + 1):
        assert remembered["x" * length] == b"x" * length
    assert list(remembered) == ["x" * LONG]
