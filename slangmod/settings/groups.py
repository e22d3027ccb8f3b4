"""Which group of ``[[optimizer.group]]`` a weight belongs to, by its name."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase


def assign(names: Iterable[str], patterns: Sequence[str]) -> dict[str, int | None]:
    """For each name the place of the first pattern that matches it, None without one.

    In a pattern ``*`` stands for any text, dots included, ``?`` for one character and
    ``[01]`` for one of these.

    >>> assign(["norm.weight", "layers.0.norm.weight"], ["layers.*", "*norm*"])
    {'norm.weight': 1, 'layers.0.norm.weight': 0}
    """
    return {
        name: next(
            (place for place, one in enumerate(patterns) if fnmatchcase(name, one)),
            None,
        )
        for name in names
    }


def idle(names: Sequence[str], patterns: Sequence[str]) -> dict[int, str]:
    """The places of patterns that no weight is left for, and why in words.

    >>> idle(["norm.weight"], ["*norm*", "norm.*", "x"])
    ... # doctest: +NORMALIZE_WHITESPACE
    {1: 'matches only weights that earlier groups take; put it before them',
     2: 'matches no weight; their names are such as norm.weight'}
    """
    taken = set(assign(names, patterns).values())
    reasons = {}
    for place, pattern in enumerate(patterns):
        if place in taken:
            continue
        if any(fnmatchcase(name, pattern) for name in names):
            why = "matches only weights that earlier groups take; put it before them"
        else:
            examples = " or ".join((*names[:1], *names[1:][-3:-2]))
            why = f"matches no weight; their names are such as {examples}"
        reasons[place] = why
    return reasons
