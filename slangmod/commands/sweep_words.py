"""A sweep in words: names, numbers, lines and tables for a person."""

import math
from collections.abc import Iterable, Mapping, Sequence
from textwrap import shorten, wrap
from typing import Any

from slangmod.runs.wording import short_time
from slangmod.search.study import COMPLETE, FAILED, PRUNED, RUNNING, Record
from slangmod.settings.literals import literal, printable

LONGEST = 100
"""Characters of a reason in a line; the table has all of it."""


def short_names(names: Iterable[str]) -> dict[str, str]:
    """For each dotted name the shortest end of it that no other has.

    >>> short_names(["train.power", "data.dim", "model.dim"])
    {'train.power': 'power', 'data.dim': 'data.dim', 'model.dim': 'model.dim'}
    """
    all_names = [*names]
    return {name: _shortest(name, all_names) for name in all_names}


def _shortest(name: str, names: Sequence[str]) -> str:
    parts = name.split(".")
    for start in reversed(range(len(parts))):
        end = parts[start:]
        if sum(other.split(".")[-len(end) :] == end for other in names) == 1:
            return ".".join(end)
    return name


def shown(value: Any) -> str:
    """A value in at most five digits, text as it is.

    >>> shown(0.00123456), shown(32), shown(True), shown("adamw"), shown(None)
    ('0.0012346', '32', 'true', 'adamw', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.5g}"
    return printable(value) if isinstance(value, str) else literal(value)


def measured(value: float | None) -> str:
    """A metric with four digits behind the point, where that says enough.

    >>> measured(2.1), measured(123456.7), measured(None)
    ('2.1000', '1.2346e+05', '-')
    """
    is_usual = value is not None and 0.1 <= abs(value) < 1000
    return f"{value:.4f}" if is_usual else shown(value)


def in_words(parameters: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Parameters in one line: ``learning_rate 0.0031, batch_size 32``."""
    return ", ".join(
        f"{printable(names.get(name, name))} {shown(value)}"
        for name, value in parameters.items()
    )


def line_of(told: Record, metric: str, names: Mapping[str, str]) -> str:
    """A line about a trial that has ended."""
    parts = [f"trial {told.number}", in_words(told.parameters, names)]
    if told.state == COMPLETE:
        parts.append(f"{printable(metric)} {measured(told.value)}")
    else:
        reason = shorten(printable(told.reason), LONGEST, placeholder=" ...")
        parts.append(f"{told.state}: {reason}" if reason else told.state)
    if told.seconds is not None:
        parts.append(short_time(told.seconds))
    return " | ".join(parts)


def best_first(records: Iterable[Record], direction: str) -> list[Record]:
    """Complete trials, the best first, then the others; of equals the first one."""
    sign = -1.0 if direction == "maximize" else 1.0
    rank = {COMPLETE: 0, RUNNING: 1, PRUNED: 2, FAILED: 3}

    def place(record: Record) -> tuple[int, float, int]:
        value = math.inf if record.value is None else sign * record.value
        return rank[record.state], value, record.number

    return sorted(records, key=place)


def table(
    records: Sequence[Record], parameters: Sequence[str], metric: str, width: int
) -> str:
    """The trials in columns; where ``width`` is too small, parameters stand below."""
    names = short_names(parameters)
    head = ["trial", printable(metric), "time"]
    rows = [[str(r.number), _value(r), _time(r)] for r in records]
    full_head = [*head, *(printable(names[name]) for name in parameters)]
    full = [
        [*row, *(shown(record.parameters.get(name)) for name in parameters)]
        for row, record in zip(rows, records, strict=True)
    ]
    fits = sum(_widths([full_head, *full])) + 2 * (len(full_head) - 1) <= width
    lines = _columns([full_head, *full] if fits else [head, *rows])
    text = [lines[0]]
    for line, record in zip(lines[1:], records, strict=True):
        text.append(line)
        if not fits:
            text += _below(in_words(record.parameters, names), width)
        if record.reason:
            text += _below(printable(record.reason), width)
    return "".join(f"{line}\n" for line in text)


def _value(record: Record) -> str:
    return measured(record.value) if record.state == COMPLETE else record.state


def _time(record: Record) -> str:
    return "-" if record.seconds is None else short_time(record.seconds)


def _below(text: str, width: int) -> list[str]:
    indent = " " * 7
    return wrap(text, width, initial_indent=indent, subsequent_indent=indent)


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = _widths(rows)
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
