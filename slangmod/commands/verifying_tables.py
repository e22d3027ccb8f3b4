"""Whether a table of a run can be read, and has what its checkpoint counts on."""

from collections.abc import Iterator
from pathlib import Path

from slangmod.reading import bounded_lines


def faults_of_table(path: Path, column: str, counted: int) -> Iterator[str]:
    """What is wrong with steps.csv or epochs.csv, the first of each kind.

    ``counted``: the last row, by ``column``, that the newest checkpoint knows of.
    """
    way = "what comes after is right; the numbers before can only come from a backup"
    header: list[str] = []
    last = 0
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(bounded_lines(stream), 1):
                cells = line.decode("utf-8", "replace").rstrip("\n").split(",")
                if not header:
                    header = cells
                    if column not in header:
                        yield f"{path}:1: has no column {column!r}; {way}"
                        return
                    continue
                reached = _reached(cells, header, column)
                if not line.endswith(b"\n"):
                    break  # being written, or cut off: resume drops it
                if reached is None or reached < last:
                    yield f"{path}:{number}: is no row of this table; {way}"
                    return
                last = reached
    except FileNotFoundError:
        yield f"{path}: is missing; `slangmod resume` begins it anew, from here on"
        return
    if last < counted:
        yield (
            f"{path}: ends with {column} {last}, the newest checkpoint knows of "
            f"{counted}; rows are lost, which resume does not bring back"
        )


def _reached(cells: list[str], header: list[str], column: str) -> int | None:
    """What a row says of ``column``; None if it is no row."""
    if len(cells) != len(header):
        return None
    try:
        row = dict(zip(header, [float(cell or "nan") for cell in cells], strict=True))
        return int(row[column])
    except (ValueError, OverflowError):
        return None
