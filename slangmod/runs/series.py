"""Reading steps.csv and epochs.csv, also while they grow.

A row that is torn, or does not fit the header, is passed over; an empty cell is nan.
Columns are arrays of doubles, so a million rows cost eight megabytes a column. Those
that the file lacks share one: whatever it holds, they take some ten times its bytes.
"""

import math
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from slangmod.reading import LONGEST_LINE, bounded_lines, open_regular

MOST_COLUMNS = 256
"""Of a table; one with more is none of ours."""

TAIL = 65536
"""Bytes at the end of a table among which its last row is looked for."""


class Series:
    """The columns of one table; ``refresh`` reads only what is new.

    ``columns``: which; None takes all that the table turns out to have. ``beginnings``
    counts how often it was read from its first row.
    """

    def __init__(self, path: Path, columns: Sequence[str] | None) -> None:
        self.path = path
        self.columns: dict[str, array[float]] = {}
        self.beginnings = 0
        self._position = 0
        self._names = None if columns is None else tuple(columns)
        self._forget()

    def __getitem__(self, column: str) -> "array[float]":
        """All numbers of ``column``, oldest first."""
        return self.columns[column]

    def __len__(self) -> int:
        """Rows read so far."""
        return len(next(iter(self.columns.values()), ()))

    def rows(self) -> Iterator[tuple[float, ...]]:
        """The rows read so far, with the columns asked for."""
        return zip(*self.columns.values(), strict=True)

    def refresh(self) -> bool:
        """Read rows added since the last call; whether anything changed.

        A file that shrank, as a resumed run makes it, is read anew, also if it has
        grown again since.
        """
        try:
            with open_regular(self.path) as stream:
                if not self._stands_behind_a_row(stream):
                    self._forget()
                return self._take_rows(stream)
        except OSError:
            return False

    def _take_rows(self, stream: BinaryIO) -> bool:
        """All whole lines from where the last call ended; whether there were any.

        A line too long for a row, and what is left of it, is passed over.
        """
        stream.seek(self._position)
        before, position = self._position, self._position
        in_row = False
        for line in bounded_lines(stream):
            position += len(line)
            if line.endswith(b"\n"):
                self._position = position
                if not in_row and line.strip():
                    self._take(
                        line.decode("utf-8", "replace").rstrip("\r\n").split(",")
                    )
            in_row = not line.endswith(b"\n")
        return self._position > before

    def last(self, column: str) -> float | None:
        """The newest number of ``column``, None where there is none."""
        values = self.columns[column]
        return values[-1] if values and not math.isnan(values[-1]) else None

    def _stands_behind_a_row(self, stream: BinaryIO) -> bool:
        """Whether what was read so far still ends where a row does."""
        if self._position == 0:
            return True
        stream.seek(self._position - 1)
        return stream.read(1) == b"\n"

    def _forget(self) -> None:
        self._position = 0
        self._header: list[str] | None = None
        self.beginnings += 1
        self._lacking: array[float] = array("d")
        self._arrange(())

    def _arrange(self, header: Sequence[str]) -> None:
        """Give each column of ``header`` an array, and one to all that it lacks."""
        names = dict.fromkeys(header if self._names is None else self._names)
        self.columns = {
            name: array("d") if name in header else self._lacking for name in names
        }
        self._wanted = [(name, header.index(name)) for name in names if name in header]

    def _take(self, cells: list[str]) -> None:
        """Add a row, or have the columns of the first line."""
        if self._header is None:
            self._header = cells
            self._arrange(cells if len(cells) <= MOST_COLUMNS else ())
        elif len(cells) == len(self._header) <= MOST_COLUMNS:
            try:
                row = [float(cell) if cell else math.nan for cell in cells]
            except ValueError:
                return
            for name, place in self._wanted:
                self.columns[name].append(row[place])
            if len(self._wanted) < len(self.columns):
                self._lacking.append(math.nan)


def last_row(path: Path) -> dict[str, float]:
    """The newest whole row of a table by column, empty where there is none.

    Only both ends of the file are read, however long it is; empty cells are left out.
    """
    try:
        with open_regular(path) as stream:
            line = stream.readline(LONGEST_LINE).decode("utf-8", "replace")
            header = line.strip().split(",")
            stream.seek(max(stream.tell(), path.stat().st_size - TAIL))
            lines = stream.read(TAIL).decode("utf-8", "replace").split("\n")[:-1]
    except OSError:
        return {}
    for line in reversed(lines):
        cells = line.split(",")
        if len(cells) == len(header):
            try:
                pairs = zip(header, cells, strict=True)
                return {name: float(cell) for name, cell in pairs if cell}
            except ValueError:
                continue
    return {}


def read_series(path: Path, columns: Sequence[str] | None) -> Series:
    """The table at ``path`` as it is now; no rows where there is no file."""
    series = Series(path, columns)
    series.refresh()
    return series
