"""Which document goes to which split, so that none of the three stays empty.

1. A document of a file whose name holds a split's goes there.
2. Every other goes by a hash of its text.
3. If a split stays empty all the same, those others all go to train instead, and each
   empty split takes its share from the end of train: validation the last 1 % of the
   characters, test the 1 % before it (or the last, if only test is empty), cut at
   borders of lines. Where files are named for test and validation alone, their names
   count for nothing, because there would be nothing to learn from.

A text with too few lines for that is cut at spaces, one without spaces anywhere.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from slangmod.errors import DataError
from slangmod.text.documents import SPLITS, split_of_text

Document = tuple[str | None, str]
"""The split that the file's name asks for, if any, and the text."""

TAIL: Final = ("test", "validation")
"""Splits that may be cut off the end of train, in this order."""

BORDERS: Final = (("lines", "\n"), ("spaces", " "), ("characters", ""))


@dataclass(frozen=True)
class Plan:
    """How documents are dealt out. The default is by name, else by hash."""

    by_name: bool = True
    by_hash: bool = True
    cuts: tuple[tuple[int, str], ...] = ()
    """where in the characters of train another split begins, and which"""
    borders: str = ""
    """what the cuts fall on: lines, spaces or characters"""

    def deal(
        self, documents: Iterable[Document], begin: int = 0
    ) -> Iterator[tuple[str, str]]:
        """Each document with its split; the one that a cut goes through in parts.

        ``begin``: characters of train before the first of them.
        """
        for named, text in documents:
            split = self.split_of(named, text)
            if split != "train" or not self.cuts:
                yield split, text
                continue
            yield from self._parts(text, begin)
            begin += len(text)

    def split_of(self, named: str | None, text: str) -> str:
        """The split of a document before any cut."""
        if self.by_name and named is not None:
            return named
        return split_of_text(text) if self.by_hash else "train"

    def _parts(self, text: str, begin: int) -> Iterator[tuple[str, str]]:
        starts = [(0, "train"), *((cut - begin, split) for cut, split in self.cuts)]
        ends = [start for start, _ in starts[1:]] + [len(text)]
        for (start, split), end in zip(starts, ends, strict=True):
            if part := text[max(start, 0) : max(end, 0)]:
                yield split, part

    def before_cuts(self, named: Mapping[str | None, int]) -> int:
        """Of characters by the split that files ask for: those of train, uncut."""
        return sum(
            count
            for split, count in named.items()
            if not (self.by_name and split not in (None, "train"))
        )

    def in_words(self) -> str:
        """What was done about empty splits, for people; empty if nothing was."""
        if self.by_hash:
            return ""
        if not self.cuts:
            return "documents of files without a split in their name all became train"
        *before, last = [split for _, split in self.cuts]
        told = f"the last 1 % of the text became {last}"
        told += "".join(f", the 1 % before it {split}" for split in before)
        if not self.by_name:
            told += " (no file is named for train, so the names of files were ignored)"
        return f"{told}, cut at borders of {self.borders}"


def plan_around(documents: Callable[[], Iterable[Document]]) -> Plan:
    """The plan for documents of which the plain one leaves a split empty.

    Reads them all at least twice. Raises DataError if there is too little text.
    """
    named = dict.fromkeys(SPLITS, 0)
    rest = 0
    for split, text in documents():
        if split is None:
            rest += len(text)
        else:
            named[split] += len(text)
    by_name = named["train"] + rest > 0
    total = named["train"] + rest if by_name else sum(named.values())
    missing = [split for split in TAIL if not (by_name and named[split])]
    plan = Plan(by_name=by_name, by_hash=False)
    if not missing:
        return plan
    shares = range(len(missing), 0, -1)
    targets = [max(1, total * (100 - back) // 100) for back in shares]
    for borders, sign in BORDERS:
        dealt = (
            text for name, text in documents() if plan.split_of(name, text) == "train"
        )
        cuts = _cuts(dealt, targets, sign, total)
        if cuts and 2 * cuts[0] >= total:
            pairs = tuple(zip(cuts, missing, strict=True))
            return Plan(by_name, False, pairs, borders)
    raise DataError(
        f"{total} characters in all are too few to be split into train, test and "
        "validation; add text to files.raw"
    )


def _cuts(texts: Iterable[str], targets: list[int], sign: str, total: int) -> list[int]:
    """Where to cut: each at the last border up to its target, no two in one place.

    A border is where a text begins, and behind each ``sign``. Empty if there are too
    few of them.
    """
    last_two: list[list[int]] = [[] for _ in targets]
    begin = 0
    for text in texts:
        for target, kept in zip(targets, last_two, strict=True):
            if begin >= target:
                continue
            last = text.rfind(sign, 0, target - begin) + len(sign)
            before = text.rfind(sign, 0, max(0, last - 1)) + len(sign)
            found = {*kept, begin, begin + max(last, 0), begin + max(before, 0)}
            kept[:] = sorted(found - {0})[-2:]
        begin += len(text)
    cuts: list[int] = []
    for kept in reversed(last_two):
        free = [border for border in kept if border < (cuts[0] if cuts else total)]
        if not free:
            return []
        cuts.insert(0, free[-1])
    return cuts
