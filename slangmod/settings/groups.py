"""Which group of ``[[optimizer.group]]`` a weight belongs to, by its name."""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

_NUMBER = re.compile(r"(?<=\.)[0-9]+(?=\.)")


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


def in_brief(names: Iterable[str]) -> str:
    """``names`` in few words: those that differ in the number of a layer are one.

    >>> in_brief(["layers.0.bias", "layers.1.bias", "layers.3.bias", "norm.bias"])
    'layers.{0-1,3}.bias, norm.bias'
    """
    alike: dict[str, list[int]] = {}
    for name in names:
        numbers = _NUMBER.findall(name)
        form = _NUMBER.sub("{}", name) if len(numbers) == 1 else name
        alike.setdefault(form, []).extend(map(int, numbers if form != name else ()))
    return ", ".join(
        form.replace("{}", _ranges(numbers)) if numbers else form
        for form, numbers in alike.items()
    )


def _ranges(numbers: list[int]) -> str:
    """Rising ``numbers`` with neighbours joined; in braces where it is not just one."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    joined = ",".join("-".join(map(str, run)) for run in runs)
    return joined if joined.isdecimal() else f"{{{joined}}}"
