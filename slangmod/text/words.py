"""How often each word of a text occurs, counted at the speed at which text is cut.

Text repeats itself, so segments are counted first, which takes one search and one
dictionary, and only different ones are split into words.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from slangmod.text.bytelevel import unspelled
from slangmod.text.segments import ascii_words, segments, splitting, whole_words

SEGMENTS: Final = 1 << 20
"""Different ones that are counted before their words are; some 100 MB."""
CHARACTERS: Final = 1 << 26
"""Of text whose segments are counted before their words are."""
PIECE: Final = 1 << 16
"""Characters of text that are cut into segments at a time."""
WORDS: Final = 1 << 23
"""When so many different ones are counted, the rarest are forgotten; 1 GB."""


def count_words(texts: Iterable[str], pattern: str) -> Counter[bytes]:
    """How often each word occurs, as its bytes.

    Words are what ``pattern``, one of ours, splits texts into.
    """
    words = Counting(pattern)
    for text in texts:
        for piece in whole_words(text, PIECE, pattern):
            words.add(piece)
    words.split()
    return words.counts


class Counting:
    """Words counted so far, and segments that are still to be split into them."""

    def __init__(self, pattern: str) -> None:
        self.counts: Counter[bytes] = Counter()
        self._segments: Counter[str] = Counter()
        self._characters = 0
        self._ascii, self._library = ascii_words(pattern), splitting(pattern)

    def add(self, text: str) -> None:
        """Count what is in ``text``."""
        self._segments.update(segments(text))
        self._characters += len(text)
        if len(self._segments) > SEGMENTS or self._characters > CHARACTERS:
            self.split()

    def split(self) -> None:
        """Count the words of all segments."""
        plain: dict[str, int] = {}
        known = plain.get
        for segment, count in self._segments.items():
            if segment.isascii():
                for word in self._ascii(segment):
                    plain[word] = known(word, 0) + count
                if len(plain) > SEGMENTS:
                    self._pour(plain)
            else:
                for letters, _ in self._library.pre_tokenize_str(segment):
                    self.counts[unspelled(letters) or b""] += count
                self._forget()
        self._pour(plain)
        self._segments.clear()
        self._characters = 0

    def _pour(self, plain: dict[str, int]) -> None:
        for word, count in plain.items():
            self.counts[word.encode()] += count
        plain.clear()
        self._forget()

    def _forget(self) -> None:
        """Where there are too many words, drop those seen once, or those seen least."""
        least = 1
        while len(self.counts) > WORDS:
            often = {word: n for word, n in self.counts.items() if n > least}
            self.counts, least = Counter(often), 2 * least
