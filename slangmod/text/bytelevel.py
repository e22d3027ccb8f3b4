"""The alphabet in which byte-level tokenizers spell: one visible character a byte.

Bytes that are visible characters of Latin-1 stand for themselves; the others, in their
order, for the characters from U+0100 on (GPT-2's convention, which the tokenizers
library shares). So every text of any language is spelled with 256 letters.
"""

from typing import Final

_VISIBLE = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
_OTHERS = [byte for byte in range(256) if byte not in _VISIBLE]
SPELLING: Final = tuple(
    chr(byte if byte in _VISIBLE else 0x100 + _OTHERS.index(byte))
    for byte in range(256)
)
"""The character of each byte."""

BYTE_OF: Final = {character: byte for byte, character in enumerate(SPELLING)}


def spelled(content: bytes) -> str:
    """``content`` in byte-level letters."""
    return "".join(SPELLING[byte] for byte in content)


def unspelled(letters: str) -> bytes | None:
    """The bytes that byte-level ``letters`` stand for, or None for other text."""
    try:
        return bytes([BYTE_OF[letter] for letter in letters])
    except KeyError:
        return None
