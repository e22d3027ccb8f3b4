"""Whether a table of a run can be read, and has what its checkpoint counts on."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from slangmod.reading import bounded_lines, open_regular

LOST = "what is lost can only come from a backup, and resume does without"


class Gaps(NamedTuple):
    """By how much a column grows at most from one row to the next, and to the first."""

    column: str
    most: int


def faults_of_table(
    path: Path, column: str, counted: int, gaps: Gaps | None = None
) -> Iterator[str]:
    """What is wrong with steps.csv or epochs.csv, the first of each kind.

    ``counted``: the last row, by ``column``, that the newest checkpoint knows of. Up to
    there no row is missing that ``gaps`` asks for.
    """
    header: list[str] = []
    last = before = 0
    try:
        with open_regular(path) as stream:
            for number, line in enumerate(bounded_lines(stream), 1):
                cells = line.decode("utf-8", "replace").rstrip("\n").split(",")
                if not header:
                    header = cells
                    if column not in header:
                        yield f"{path}:1: has no column {column!r}; {LOST}"
                        return
                    continue
                reached = _reached(cells, header, column)
                if not line.endswith(b"\n"):
                    break  # being written, or cut off: resume drops it
                if reached is None or reached < last:
                    yield f"{path}:{number}: is no row of this table; {LOST}"
                    return
                now = _reached(cells, header, gaps.column) if gaps else None
                if gaps and now and now - before > gaps.most and last < counted:
                    yield _gap(f"{path}:{number}", gaps.column, before, now)
                    return
                last, before = reached, now or 0
    except FileNotFoundError:
        yield f"{path}: is missing; {LOST}"
        return
    if last < counted:
        yield (
            f"{path}: ends with {column} {last}, the newest checkpoint knows of "
            f"{counted}; {LOST}"
        )


def _gap(place: str, column: str, before: int, now: int) -> str:
    return f"{place}: {column} {now} follows {before}, rows between are lost; {LOST}"


def _reached(cells: list[str], header: list[str], column: str) -> int | None:
    """What a row says of ``column``; None if it is no row."""
    if len(cells) != len(header):
        return None
    try:
        row = dict(zip(header, [float(cell or "nan") for cell in cells], strict=True))
        return int(row[column])
    except (ValueError, KeyError, OverflowError):
        return None
