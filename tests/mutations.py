"""Contents with something wrong in them, as chance or an enemy may make them."""

import random

TOKENS = (
    *(b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b"9" * 200, b"{}", b"[]"),
    *(b'""', b'"x"', b"[" * 3000, b'{"a":' * 3000, b"\x00" * 20, b"\xff", b"\n"),
    *(b"1979-05-27", b"inf", b"nan", b"'\\u202e'", b'"\\u001b[2J"', b"=", b"."),
)


def mutated(content: bytes, chance: random.Random) -> bytes:
    """``content`` with bytes, numbers, words or lines changed, lost or doubled."""
    kind = chance.randrange(6)
    at = chance.randrange(len(content))
    if kind == 0:
        return content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]
    if kind == 1:
        return content[:at] + content[at + chance.randrange(1, 30) :]
    if kind == 2:
        return content[:at] + chance.choice(TOKENS) + content[at:]
    if kind == 3:
        return _with_another_value(content, chance)
    lines = content.splitlines(keepends=True)
    number = chance.randrange(len(lines))
    if kind == 4:
        lines[number] = chance.choice((b"", lines[number] * 2, chance.choice(TOKENS)))
    else:
        chance.shuffle(lines)
    return b"".join(lines)


def _with_another_value(content: bytes, chance: random.Random) -> bytes:
    """One value, from a colon or equals sign to what ends it, is another."""
    starts = [i for i, byte in enumerate(content) if byte in b":="]
    start = chance.choice(starts) + 1
    ends = [content.find(sign, start) for sign in (b",", b"}", b"\n")]
    end = min((end for end in ends if end >= 0), default=len(content))
    return content[:start] + b" " + chance.choice(TOKENS) + content[end:]
