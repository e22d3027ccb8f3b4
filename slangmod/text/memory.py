"""The ids of segments and words met before, so that the library sees each of them once.

Text repeats itself: of 4 MB of program text, a fifth are segments not met before, and
of the words of these a fortieth. So almost all ids come out of two dictionaries, at
several times the speed of the library, which is asked for words alone, for all that
are new in a text at once.
"""

import threading
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final

from slangmod.text.segments import ascii_words

SEGMENTS: Final = 1 << 17
"""How many segments are remembered; with their ids, some 25 MB."""
WORDS: Final = 1 << 16
"""How many words are."""
LONG: Final = 256
"""Characters above which a segment is not remembered: it will hardly come again."""

Spell = Callable[[str], bytes]
"""A text -> its ids, as the bytes of an array."""

SpellWords = Callable[[Sequence[str]], Sequence[bytes]]
"""Words of ASCII -> the ids of each of them."""


class Segments:
    """The ids of rows of segments.

    ``spell`` has those of any text, ``spell_words`` those of the words into which it
    splits ASCII, by ``pattern``, one that ``ascii_words`` takes.
    """

    def __init__(self, spell: Spell, spell_words: SpellWords, pattern: str) -> None:
        self._spell, self._spell_words = spell, spell_words
        self._split = ascii_words(pattern)
        # No subclasses: that keeps ``set.difference`` as fast as it is.
        self._segments: dict[str, bytes] = {}
        self._words: dict[str, bytes] = {}
        self._one_at_a_time = threading.Lock()

    def ids(self, row: list[str]) -> bytes:
        """The ids of all ``segments`` of a text, joined."""
        known = self._segments
        with self._one_at_a_time:
            new = set(row).difference(known)
            if new:
                self._learn(new, {row[0], row[-1]})
            joined = b"".join(map(known.__getitem__, row))
            for segment in new:
                if len(segment) > LONG:
                    del known[segment]
            forget(known, SEGMENTS)
        return joined

    def _learn(self, new: set[str], ends: set[str]) -> None:
        """Remember the ids of ``new`` segments; ``ends`` may lack a space, or text.

        All others begin with a space and end with none. Joined, they so have a border
        of words wherever one of them ends, and can be split all at once.
        """
        plain = [one for one in new if one.isascii() and one not in ends]
        if len(plain) < len(new):
            for segment in new.difference(plain):
                self._segments[segment] = self._alone(segment)
        words = self._split("".join(plain))
        ids = self._ids_of(words)
        lengths, sizes = accumulate(map(len, words)), accumulate(map(len, ids))
        end_of_ids = dict(zip(lengths, sizes, strict=True))
        joined = b"".join(ids)
        begin = 0
        for segment, at in zip(plain, accumulate(map(len, plain)), strict=True):
            end = end_of_ids[at]
            self._segments[segment] = joined[begin:end]
            begin = end

    def _alone(self, segment: str) -> bytes:
        """The ids of a segment that cannot be split together with others."""
        if segment.isascii():
            return b"".join(self._ids_of(self._split(segment)))
        return self._spell(segment)

    def _ids_of(self, words: list[str]) -> list[bytes]:
        """The ids of each of ``words``; new ones are remembered."""
        known = self._words
        if new := list(set(words).difference(known)):
            known.update(zip(new, self._spell_words(new), strict=True))
        ids = list(map(known.__getitem__, words))
        forget(known, WORDS)
        return ids


def forget(known: dict[str, bytes], most: int) -> None:
    """Drop what texts came with last beyond ``most``: the frequent has come early."""
    while len(known) > most:
        known.popitem()
