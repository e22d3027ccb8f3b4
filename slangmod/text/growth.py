"""By how much a tokenizer file that others have made could blow up text, at most.

The library does whatever the file says, and ends the process where memory does not
suffice. So what a file may say is limited, before any text meets it.
"""

import base64
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import Any, Final

from slangmod.errors import DataError

MOST_GROWTH: Final = 128
"""Characters that may come out for one that goes in; the map of T5, which has forms of
18 characters, and what stands beside it come to 36."""
MOST_PARTS: Final = 256
"""Of each kind; known tokenizers have up to ten, and some a list of replacements."""
LONGEST_TOKEN: Final = 1 << 12
"""Characters; the longest pieces of known vocabularies have some hundreds."""
LONGEST_AFFIX: Final = 64
"""Characters of what is put before or after each piece, or stands for an unknown one.
"""
NEVER_EMPTY: Final = re.compile(
    r"""(?: (?: [^][\\^$*+?{}()|]             # a letter, or any
              | \\ (?: [^\w\s] | [wWdDsSnrtf] | [pP]\{\w+\} )
              | \[\^? (?: [^][\\] | \\. )+ \] )  # a class
            (?: \+ | \{[1-9][0-9]*(?:,[0-9]*)?\} )?
            (?: \|(?=.) )? )+  # one of several""",
    re.VERBOSE | re.DOTALL,
)
"""Patterns of which it is easily seen that they fit one letter or more."""
AFFIXES: Final = ("unk_token", "continuing_subword_prefix", "end_of_word_suffix")

Part = Mapping[str, Any]
Factor = Callable[[Part], float]
"""A part of a tokenizer -> what may come out for each character that goes in.

What Unicode itself makes longer is not counted: that is the text's doing.
"""


def refuse_growth(spec: Part, tokens: Iterable[str]) -> None:
    """Raise DataError unless text grows within limits, both ways.

    ``spec`` is the tokenizer file as the library writes it, ``tokens`` its vocabulary.
    """
    model = spec["model"]
    for name in AFFIXES:
        if len(model.get(name) or "") > LONGEST_AFFIX:
            raise DataError(f"its {name} has more than {LONGEST_AFFIX} characters")
    if (longest := max(map(len, tokens), default=0)) > LONGEST_TOKEN:
        raise DataError(
            f"has a token of {longest} characters; {LONGEST_TOKEN} are the most"
        )
    there = _factor("normalizer", spec["normalizer"], THERE)
    there *= _factor("pre_tokenizer", spec["pre_tokenizer"], THERE)
    back = _factor("decoder", spec["decoder"], BACK)
    for growth, what in (
        (there, "before it is split"),
        (back, "as it is put together"),
    ):
        if growth > MOST_GROWTH:
            raise DataError(
                f"could make text grow {growth:.3g} times {what}; {MOST_GROWTH} are "
                "the most"
            )


def _factor(kind: str, part: Part | None, known: Mapping[str, Factor]) -> float:
    """The factors of all single parts in ``part``, multiplied."""
    parts = [*_single(part)]
    if len(parts) > MOST_PARTS:
        raise DataError(f"its {kind} has {len(parts)} parts; {MOST_PARTS} are the most")
    for one in parts:
        if one["type"] not in known:
            raise DataError(f"has a {kind} that slangmod does not know, {one['type']}")
    apart = prod(known[one["type"]](one) for one in parts if not _is_plain(one))
    return apart * _of_plain(parts)


def _is_plain(part: Part) -> bool:
    """Whether it replaces a text by another."""
    return part["type"] == "Replace" and bool(part["pattern"].get("String"))


def _of_plain(parts: Sequence[Part]) -> float:
    """The factors of all that replace a text by another.

    Of those in a row whose texts share no letter with what was put in before, at most
    one replaces any letter: then it is the largest factor that counts.
    """
    growth, largest, put_in = 1.0, 1.0, set[str]()
    for one in parts:
        plain = _is_plain(one)
        if not plain or not put_in.isdisjoint(one["pattern"]["String"]):
            growth, largest, put_in = growth * largest, 1.0, set()
        if plain:
            largest = max(largest, _replaced(one))
            put_in |= {*one["content"]}
    return growth * largest


def _single(part: Part | None) -> Iterator[Part]:
    """``part`` itself, or all that a sequence is made of, however deep."""
    if part is None:
        return
    if part["type"] != "Sequence":
        yield part
        return
    for name in ("normalizers", "pretokenizers", "decoders"):
        for inner in part.get(name, ()):
            yield from _single(inner)


def _longest(text: str) -> int:
    """Characters of ``text`` in whatever form it is brought into afterwards."""
    return len(unicodedata.normalize("NFKD", text).lower())


def _same(part: Part) -> float:
    del part
    return 1


def _twice(part: Part) -> float:
    """A sign is put before what goes in, of which there is at least one."""
    del part
    return 2


def _bert(part: Part) -> float:
    """Spaces on both sides of each Chinese character."""
    return 3 if part["handle_chinese_chars"] else 1


def _spelled(part: Part) -> float:
    """Each of up to four bytes becomes a character, and a space is put before them."""
    del part
    return 5


def _prepended(part: Part) -> float:
    return 1 + _longest(part["prepend"])


def _replaced(part: Part) -> float:
    """A pattern may fit everywhere, even between two characters; plain text may not."""
    content, pattern = _longest(part["content"]), part["pattern"]
    if plain := pattern.get("String"):
        return max(1, content / len(plain))
    if NEVER_EMPTY.fullmatch(pattern.get("Regex", "")):
        return max(1, content)
    return 1 + content


def _mapped(part: Part) -> float:
    """A map from characters to texts, which lie one after the other, parted by zeros.

    Before them stand a trie and, in 4 bytes, its size.
    """
    content = base64.b64decode(part["precompiled_charsmap"] or "")
    texts = content[4 + int.from_bytes(content[:4], "little") :].split(b"\0")
    return max(1, *(_longest(text.decode("utf-8", "replace")) for text in texts))


def _unsuffixed(part: Part) -> float:
    """The suffix becomes a space; one of no letters is between any two."""
    return 1 if part["suffix"] else 2


def _undelimited(part: Part) -> float:
    """The delimiter becomes a space; one of no letters is between any two."""
    return 1 if part["word_delimiter_token"] else 2


THERE: Final[Mapping[str, Factor]] = {
    "NFC": _same,
    "NFD": _same,
    "NFKC": _same,
    "NFKD": _same,
    "Nmt": _same,
    "Lowercase": _same,
    "Strip": _same,
    "StripAccents": _same,
    "BertPreTokenizer": _same,
    "CharDelimiterSplit": _same,
    "Digits": _same,
    "FixedLength": _same,
    "Punctuation": _same,
    "Split": _same,
    "UnicodeScripts": _same,
    "Whitespace": _same,
    "WhitespaceSplit": _same,
    "BertNormalizer": _bert,
    "ByteLevel": _spelled,
    "Metaspace": _twice,
    "Precompiled": _mapped,
    "Prepend": _prepended,
    "Replace": _replaced,
}
"""All normalizers and pre-tokenizers that are known."""
BACK: Final[Mapping[str, Factor]] = {
    "ByteFallback": _same,
    "ByteLevel": _same,
    "Fuse": _same,
    "Metaspace": _same,
    "Strip": _same,
    "BPEDecoder": _unsuffixed,
    "CTC": _undelimited,
    "Replace": _replaced,
    "WordPiece": _twice,
}
"""All decoders that are known."""
