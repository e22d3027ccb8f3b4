"""How text falls into words before any tokenizer sees it, and where it may be cut.

A tokenizer of ours never merges across the borders of PATTERN. All of them keep every
character, so joining the words again gives the text.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any, Final

LONGEST = 32
"""Characters of the longest word; it bounds the work spent on any one of them."""

REACH: Final = 3 * LONGEST
"""More characters than any word of ours has and looks ahead."""

LEAST_PIECE: Final = 3 * REACH
"""Characters, among which there is an end of a word that nothing further on moves."""

PATTERN: Final = "|".join(
    (
        r"'(?:[sdmt]|ll|re|ve)(?![\p{L}\p{M}])",  # it's, we'll
        rf" ?[\p{{L}}\p{{M}}]{{1,{LONGEST}}}",  # letters with their accents
        r" ?\p{N}{1,3}",  # digits in threes, so that long numbers share pieces
        rf" ?[^\s\p{{L}}\p{{M}}\p{{N}}]{{1,{LONGEST}}}",  # signs
        rf"\s{{0,{LONGEST}}}[\r\n]{{1,{LONGEST}}}",  # ends of lines
        rf"\s{{1,{LONGEST}}}(?!\S)",  # spaces, the last of them left to the next word
        rf"\s{{1,{LONGEST}}}",
    )
)
"""In the syntax of the tokenizers library; the first alternative that fits is taken."""

HASH_APART: Final = " ?#|" + PATTERN.replace(r"[^\s\p{L}", r"[^#\s\p{L}")
"""The same with each # a word of its own, which keeps WordPiece's "##" unmistakable."""

SPACES: Final = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""All that the tokenizers library calls a space (Unicode's White_Space)."""

SEGMENT: Final = re.compile(f"[{SPACES}]*[^{SPACES}]+|[{SPACES}]+")
BORDER: Final = re.compile(f"(?<=[^{SPACES}])(?=[{SPACES}])")
LEAVES: Final = re.compile(f"[{SPACES}][^{SPACES}]")


def segments(text: str) -> list[str]:
    """``text`` cut before each space that follows no space.

    PATTERN always has a border there and looks no further, whatever stands on either
    side, so the segments' ids joined are the ids of the text.
    """
    return SEGMENT.findall(text)


def pieces(text: str, size: int) -> Iterator[str]:
    """``text`` in pieces of about ``size`` characters, each made of whole segments.

    A stretch without any space is not cut, however long it is.
    """
    begin = 0
    while len(text) - begin > size:
        border = BORDER.search(text, begin + size)
        if border is None:
            break
        yield text[begin : border.start()]
        begin = border.start()
    yield text[begin:]


def whole_words(text: str, size: int, pattern: str) -> Iterator[str]:
    """``text`` in pieces of about ``size`` characters, each made of whole words.

    ``pattern``, one of ours, splits the pieces into the words of the text. They are
    made of whole segments but where a stretch without any space is far longer.
    """
    size = max(size, LEAST_PIECE)
    for piece in pieces(text, size):
        begin = 0
        while len(piece) - begin > 2 * size:
            end = begin + _sure_of(piece[begin : begin + size], pattern)
            yield piece[begin:end]
            begin = end
        yield piece[begin:]


def _sure_of(beginning: str, pattern: str) -> int:
    """Characters of the words that the text goes on after, whatever stands there.

    Nor is the last of them spaces before another sign, to which it has left one: at an
    end of text it would not.
    """
    if beginning.isascii():
        words = ascii_words(pattern)(beginning)
    else:
        words = [word for word, _ in _by_library(pattern).pre_tokenize_str(beginning)]
    ends = accumulate(map(len, words))
    sure = [end for end in ends if end <= len(beginning) - REACH]
    return next(end for end in reversed(sure) if not LEAVES.match(beginning, end - 1))


def _by_library(pattern: str) -> Any:
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    return Split(Regex(pattern), "isolated")


def ascii_words(pattern: str) -> Callable[[str], list[str]]:
    """What splits ASCII text into words as ``splitting`` does, ten times as fast.

    ``pattern`` may name letters, marks and numbers of Unicode (``\\p{L}``, ``\\p{M}``,
    ``\\p{N}``), and nothing else that Python's expressions have not.
    """
    for name, plain in ((r"\p{L}", "A-Za-z"), (r"\p{M}", ""), (r"\p{N}", r"\d")):
        pattern = pattern.replace(name, plain)
    return re.compile(pattern, re.ASCII).findall


def splitting(pattern: str) -> Any:
    """The pre-tokenizer that splits by ``pattern`` and spells bytes."""
    from tokenizers.pre_tokenizers import ByteLevel, Sequence

    spelled = ByteLevel(add_prefix_space=False, use_regex=False)
    return Sequence([_by_library(pattern), spelled])


def pattern_of(spec: Mapping[str, Any]) -> str | None:
    """The pattern of ours by which text is split, where nothing else is done to it."""
    if spec["normalizer"] or not all(
        added["special"] for added in spec["added_tokens"]
    ):
        return None
    for pattern in (PATTERN, HASH_APART):
        if spec["pre_tokenizer"] == json.loads(splitting(pattern).__getstate__()):
            return pattern
    return None
