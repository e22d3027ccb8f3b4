"""The tables of a run: steps, epochs, memory and speed, written row by row.

Each row is with the operating system when the call returns, and on disk at the
next ``sync``, which belongs before a checkpoint. Numbers are in full precision:
``float(text)`` gives back the very number. The headers are the public contract.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from slangmod.complaints import Complaints
from slangmod.files import cut
from slangmod.reading import LONGEST_LINE, bounded_lines, open_regular
from slangmod.runs.durable import Lines
from slangmod.training.events import EpochDone, Event, StepDone
from slangmod.training.times import PARTS

LOG = logging.getLogger(__name__)

STEP_COLUMNS = (
    "step",
    "epoch",
    "batch",
    "tokens",
    "loss",
    "learning_rate",
    "grad_norm",
    "tokens_per_second",
)
EPOCH_COLUMNS = (
    "epoch",
    "step",
    "tokens",
    "train_loss",
    "test_loss",
    "learning_rate",
    "seconds",
)
AVERAGE_COLUMNS = ("ema_test_loss",)
"""Of epochs.csv besides, where a moving average of the weights is evaluated, too."""
STAGE_COLUMNS = ("stage",)
"""The last of both tables, where a run has stages."""
MEMORY_COLUMNS = ("step", "batch", "resident_bytes", "device_bytes")
SPEED_COLUMNS = (
    *("step", "batch", "tokens", "seconds", "tokens_per_second", "mfu"),
    *PARTS,
)


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """One row of memory.csv."""

    step: int
    """Optimizer steps done."""
    batch: int
    """Mini-batches done."""
    resident_bytes: int
    """Of the process."""
    device_bytes: int | None
    """Of its tensors on the GPU; None where it does not train there."""


class Table:
    """Appends rows, whose cells are attributes of what ``add`` is given.

    A file that is there is carried on, a torn last row dropped; one with another
    header is moved aside to NAME.old. ``counter`` is the column by which ``cut_after``
    goes. A full disk delays rows and never raises.
    """

    def __init__(
        self,
        path: Path,
        columns: tuple[str, ...],
        counter: str,
        complaints: Complaints | None,
    ) -> None:
        self.path = path
        self._columns = columns
        self._header = ",".join(columns) + "\n"
        self._counter = columns.index(counter)
        self._lines = Lines(path, complaints)
        if not self._carried_on():
            self._lines.add(self._header.rstrip("\n"))

    def add(self, source: object) -> None:
        """Append the row of ``source``."""
        row = (getattr(source, column) for column in self._columns)
        self._lines.add(",".join("" if cell is None else repr(cell) for cell in row))

    def cut_after(self, count: int) -> None:
        """Drop the rows whose counter is above ``count``: a resumed run redoes them."""
        self._lines.cut(lambda line: self._is_kept(line, count), LONGEST_LINE)

    def sync(self) -> OSError | None:
        """Make all rows durable; -> what keeps the disk from it, if anything."""
        return self._lines.renew(self._header) or self._lines.sync()

    def close(self) -> None:
        """Let go of the file."""
        self._lines.close()

    def _carried_on(self) -> bool:
        """Whether there is a table to append to; foreign files are moved aside."""
        header = self._header.encode()
        try:
            with open_regular(self.path) as stream:
                start = stream.read(len(header))
        except OSError:
            return False
        if start == header:
            cut(self.path, self._whole_size())
            return True
        if not header.startswith(start):
            aside = self.path.with_name(self.path.name + ".old")
            LOG.warning("%s: has other columns; moved to %s", self.path, aside.name)
            self.path.rename(aside)
        elif start:
            cut(self.path, 0)
        return False

    def _whole_size(self) -> int:
        """Bytes up to the last whole row."""
        size = position = 0
        with open_regular(self.path) as stream:
            for line in bounded_lines(stream):
                position += len(line)
                if self._is_kept(line, None):
                    size = position
        return size

    def _is_kept(self, line: bytes, count: int | None) -> bool:
        """Whether it is the header, or a whole row of at most ``count``."""
        if line == self._header.encode():
            return True
        cells = line.split(b",")
        if len(cells) != len(self._columns) or not line.endswith(b"\n"):
            return False
        try:
            done = int(cells[self._counter])
        except ValueError:
            return False
        return count is None or done <= count


class EventCsv(Table):
    """A callback that appends each event of one ``kind`` as a row."""

    def __init__(
        self,
        path: Path,
        kind: type[Event],
        columns: tuple[str, ...],
        counter: str,
        complaints: Complaints | None,
    ) -> None:
        super().__init__(path, columns, counter, complaints)
        self._kind = kind

    def __call__(self, event: Event) -> None:
        """Append ``event`` if it is of this table's kind."""
        if isinstance(event, self._kind):
            self.add(event)


class StepsCsv(EventCsv):
    """steps.csv, with ``more`` columns at its end; ``cut_after`` takes mini-batches."""

    def __init__(
        self,
        path: Path,
        complaints: Complaints | None = None,
        more: tuple[str, ...] = (),
    ) -> None:
        super().__init__(path, StepDone, (*STEP_COLUMNS, *more), "batch", complaints)


class EpochsCsv(EventCsv):
    """epochs.csv, with ``more`` columns at its end; ``cut_after`` takes steps done."""

    def __init__(
        self,
        path: Path,
        complaints: Complaints | None = None,
        more: tuple[str, ...] = (),
    ) -> None:
        super().__init__(path, EpochDone, (*EPOCH_COLUMNS, *more), "step", complaints)


class MemoryCsv(Table):
    """memory.csv, of which each row is a ``MemoryUse``; goes by mini-batches."""

    def __init__(self, path: Path, complaints: Complaints | None = None) -> None:
        super().__init__(path, MEMORY_COLUMNS, "batch", complaints)


class SpeedCsv(Table):
    """speed.csv, whose rows have the names of its columns; goes by mini-batches."""

    def __init__(self, path: Path, complaints: Complaints | None = None) -> None:
        super().__init__(path, SPEED_COLUMNS, "batch", complaints)
