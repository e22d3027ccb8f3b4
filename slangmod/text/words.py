"""How often each word of a text occurs, counted at the speed at which text is cut.

Text repeats itself, so segments are counted first, which takes one search and one
dictionary, and only different ones are split into words.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from slangmod.text.bytelevel import unspelled
from slangmod.text.segments import ascii_words, segments, splitting

SEGMENTS: Final = 1 << 20
"""Different ones that are counted before their words are; some 100 MB."""
WORDS: Final = 1 << 23
"""When so many different ones are counted, those seen once are forgotten; 1 GB."""


def count_words(texts: Iterable[str], pattern: str) -> Counter[bytes]:
    """How often each word occurs, as its bytes.

    Words are what ``pattern``, one of ours, splits texts into.
    """
    words: Counter[bytes] = Counter()
    counted: Counter[str] = Counter()
    ours, library = ascii_words(pattern), splitting(pattern)
    for text in texts:
        counted.update(segments(text))
        if len(counted) > SEGMENTS:
            add_words(words, counted, ours, library)
            counted.clear()
            if len(words) > WORDS:
                words = Counter({word: n for word, n in words.items() if n > 1})
    add_words(words, counted, ours, library)
    return words


def add_words(
    words: Counter[bytes],
    counted: Mapping[str, int],
    ours: Callable[[str], list[str]],
    library: Any,
) -> None:
    """Add the words of segments that were ``counted`` to ``words``."""
    plain: dict[str, int] = {}
    known = plain.get
    for segment, count in counted.items():
        if segment.isascii():
            for word in ours(segment):
                plain[word] = known(word, 0) + count
        else:
            for letters, _ in library.pre_tokenize_str(segment):
                words[unspelled(letters) or b""] += count
    for word, count in plain.items():
        words[word.encode()] += count
