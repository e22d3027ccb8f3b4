import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.pre_tokenizers import ByteLevel

from slangmod.text.bytelevel import SPELLING, spelled, unspelled


def test_letters_are_those_of_the_library() -> None:
    assert set(SPELLING) == set(ByteLevel.alphabet())
    text = "".join(map(chr, range(1, 0x800)))
    words = ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    assert "".join(word for word, _ in words) == spelled(text.encode())


@given(st.binary())
def test_every_byte_is_spelled_and_read_again(content) -> None:
    assert unspelled(spelled(content)) == content


@pytest.mark.parametrize("text", [" ", "中", "a b"])
def test_other_text_is_no_spelling(text) -> None:
    assert unspelled(text) is None
