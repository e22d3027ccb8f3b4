import unicodedata

import pytest

from slangmod.generation.terminal import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text,\n\twith lines", "plain text,\n\twith lines"),
        ("größe 日本語 🙂 e\u0301", "größe 日本語 🙂 e\u0301"),
        ("a\x1b[31mred\x1b[0m", "ared"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("\x1bPdevice control\x1b\\after", "after"),
        ("\x9b2Jcleared", "cleared"),
        ("\x9d0;title\x9cafter", "after"),
        ("\x1b(0graphics\x1bcreset", "graphicsreset"),
        ("bell\x07 back\x08 return\r null\x00 del\x7f", "bell back return null del"),
        ("abc\u202edcba\u202c \u2066x\u2069", "abcdcba x"),
        ("\ud800", ""),
        ("\x1b]no end\x1b[1m", "no end"),
        ("\x1b", ""),
        ("", ""),
    ],
)
def test_only_text_is_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_no_control_character_comes_through() -> None:
    every = "".join(map(chr, range(0x110000)))
    left = {c for c in printable(every) if unicodedata.category(c) in {"Cc", "Cs"}}
    assert left == {"\t", "\n"}
    bidi = {c for c in printable(every) if 0x202A <= ord(c) <= 0x202E}
    assert not bidi


def test_all_letters_come_through() -> None:
    letters = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) == "Lo"]
    assert printable("".join(letters)) == "".join(letters)


def test_a_sequence_in_pieces_is_disarmed() -> None:
    assert "\x1b" not in printable("text\x1b") + printable("[31mred")
