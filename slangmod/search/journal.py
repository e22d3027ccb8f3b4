"""A study in a file of optuna's: each line is one thing that was done, in JSON.

Nothing is written before all of the file is known to be such a journal. A last line
that was not written to its end is cut off by whoever writes next: what would be glued
to it could not be read.
"""

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from slangmod.errors import DataError, SlangmodError, UserError
from slangmod.files import cut
from slangmod.reading import bounded_lines, open_regular, parsed
from slangmod.search.turns import FileTurn
from slangmod.settings.literals import printable

FIRST = b'{"op_code"'
"""What each line of a journal begins with."""

LONGEST: Final = 1 << 24
"""Bytes of a line; the longest holds all settings of a sweep, in text."""

PIECE: Final = 1 << 12
"""Bytes among which the last line is looked for first."""

LONGEST_REASON: Final = 200
"""Characters of what a library says of a file."""

WAY_OUT = "move it away, or set sweep.storage to another"


@contextmanager
def judged(place: str) -> Iterator[None]:
    """What fails in the block is the fault of what others have made, at ``place``.

    Raises DataError then. Errors of the disk, of memory and our own stay what they are.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (SlangmodError, OSError, MemoryError):
        raise
    except Exception as error:  # optuna and databases check little, and raise anything
        reason = printable(" ".join(str(error).split()))[:LONGEST_REASON]
        raise DataError(
            f"{place}: is damaged, or no study of slangmod "
            f"({type(error).__name__}: {reason}); {WAY_OUT}"
        ) from error


class JournalLock(FileTurn):
    """The lock of a journal: whoever has it may write after a whole last line."""

    def __init__(self, journal: Path) -> None:
        super().__init__(Path(f"{journal}.lock"))
        self._journal = journal

    def acquire(self) -> bool:
        """Wait until nobody else holds it, then mend what a dead holder has left."""
        super().acquire()
        try:
            mend(self._journal)
        except BaseException:
            self.release()
            raise
        return True


def open_journal(path: Path) -> JournalStorage:
    """The journal at ``path``, made if need be.

    Raises UserError where there is no folder for it, DataError if it is something else
    or damaged; then nothing has changed.
    """
    if not path.parent.is_dir():
        raise UserError(f"sweep.storage = {path}: there is no folder {path.parent}")
    refuse_other(path)
    with judged(str(path)):
        lock = JournalLock(path)
        backend = JournalFileBackend(str(path), lock)  # type: ignore[arg-type]
        return JournalStorage(backend)


def refuse_other(path: Path) -> None:
    """Raise DataError if there is something at ``path`` that is no journal.

    Its last line, and no other, may have been cut short.
    """
    try:
        with open_regular(path) as stream:
            problem = _fault(stream)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = f"cannot be read as the journal of a study: {reason}"
    if problem:
        raise DataError(f"{path}: {problem}; {WAY_OUT}")


def _fault(stream: BinaryIO) -> str:
    """Why the lines of ``stream`` are no journal; empty if they are."""
    torn = False
    for number, line in enumerate(bounded_lines(stream, LONGEST), start=1):
        if torn:
            return f"is damaged in line {number - 1}"
        if is_record(line):
            continue
        if number == 1 and not _begins_a_journal(line):
            return "is no journal of a study"
        if not is_torn(line) or len(line) == LONGEST:
            return f"is damaged in line {number}"
        torn = True
    return ""


def _begins_a_journal(line: bytes) -> bool:
    """Whether the first line of all may have become a record, had it not been cut."""
    return FIRST.startswith(line[: len(FIRST)]) and not line.endswith(b"\n")


def is_record(line: bytes) -> bool:
    """Whether a line says what was done, and by whom."""
    try:
        record = parsed(line)
    except ValueError:
        return False
    return (
        line.endswith(b"\n")
        and isinstance(record, dict)
        and isinstance(record.get("op_code"), int)
        and isinstance(record.get("worker_id"), str)
    )


def is_torn(line: bytes) -> bool:
    """Whether a line was not written to its end, or is none that anybody wrote."""
    try:
        parsed(line)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return True
    except ValueError:  # of what is nested too deeply, or too large a number
        pass
    return not line.endswith(b"\n")


def mend(path: Path) -> None:
    """Cut off the last line of a journal if it was not written to its end."""
    with open_regular(path) as stream:
        size = stream.seek(0, os.SEEK_END)
        line = _last_line(stream, size)
    if line and is_torn(line):
        cut(path, size - len(line))


def _last_line(stream: BinaryIO, size: int) -> bytes:
    """The last of ``size`` bytes that have no newline before their end."""
    length = PIECE
    while True:
        stream.seek(max(0, size - length))
        tail = stream.read(min(size, length))
        start = tail.rfind(b"\n", 0, max(0, len(tail) - 1)) + 1
        if start or length >= size:
            return tail[start:]
        length *= 16
