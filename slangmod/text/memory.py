"""The ids of segments and words met before, so that the library sees each of them once.

Text repeats itself: of 4 MB of program text, a fifth are segments not met before, and
of the words of these a fortieth. So almost all ids come out of two dictionaries, at
several times the speed of the library, which is asked for words alone.
"""

from collections.abc import Callable
from typing import Final

from slangmod.text.segments import ascii_words

SEGMENTS: Final = 1 << 17
"""How many segments are remembered; with their ids, some 25 MB."""
WORDS: Final = 1 << 16
"""How many words are."""
LONG: Final = 256
"""Characters above which a text is not remembered: it will hardly come again."""

Spell = Callable[[str], bytes]
"""A text -> its ids, as the bytes of an array."""


class Remembered(dict[str, bytes]):
    """Looks up ids, and asks ``spell`` for those it does not know."""

    def __init__(self, spell: Spell) -> None:
        super().__init__()
        self._spell = spell

    def __missing__(self, text: str) -> bytes:
        """The ids of a text that is not remembered; from now on it may be."""
        ids = self._spell(text)
        if len(text) <= LONG:
            self[text] = ids
        return ids

    def forget(self, most: int) -> None:
        """Drop the newest beyond ``most``: what is frequent has come early."""
        while len(self) > most:
            self.popitem()


class Segments:
    """The ids of rows of segments; ``spell`` has those of any text.

    ``pattern`` is what ``spell`` splits by, one that ``ascii_words`` takes.
    """

    def __init__(self, spell: Spell, pattern: str) -> None:
        split = ascii_words(pattern)
        words = self._words = Remembered(spell)

        def spell_segment(segment: str) -> bytes:
            if not segment.isascii():
                return spell(segment)
            return b"".join(map(words.__getitem__, split(segment)))

        self._segments = Remembered(spell_segment)

    def ids(self, row: list[str]) -> bytes:
        """The ids of all segments of ``row``, joined."""
        joined = b"".join(map(self._segments.__getitem__, row))
        self._segments.forget(SEGMENTS)
        self._words.forget(WORDS)
        return joined
