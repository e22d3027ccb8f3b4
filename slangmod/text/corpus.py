"""The corpus on disk: cleaned documents as parquet, written and read in a stream.

A row is a document. One that is very long takes several rows, all but the last of
them with ``more`` set, so that whoever reads it needs no more memory than for others.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from slangmod.errors import DataError
from slangmod.files import read_mark, sha256_of, written_aside
from slangmod.reading import open_regular
from slangmod.text.apart import rows_apart
from slangmod.text.documents import SPLITS, split_of_file
from slangmod.text.readers import (
    LARGEST_DOCUMENT,
    check_column,
    open_table,
    rows_of,
)
from slangmod.text.segments import pieces
from slangmod.text.unpacking import named_errors

TEXT = "text"
MORE = "more"
COLUMNS = (TEXT, MORE)
ROW_CHARACTERS = 1 << 21
"""Longer documents take several rows."""
GROUP_CHARACTERS = 1 << 18
GROUP_ROWS = 1 << 13
FILE_CHARACTERS = 1 << 30
"""How much goes into one file before the next is begun."""


class Row(NamedTuple):
    """A document, or a part of one that goes on in the next row."""

    text: str
    more: bool


class SplitWriter:
    """Writes the documents of one split, one row group in memory at a time."""

    def __init__(self, folder: Path, split: str, stack: ExitStack) -> None:
        """Files are opened on ``stack``, whose end closes the last of them."""
        self.documents = 0
        self.characters = 0
        self._folder, self._split = folder, split
        self._rows: list[Row] = []
        self._waiting = 0
        self._in_file = 0
        self._files = 0
        self._stack = stack
        self._table: Any = None

    def add(self, document: str) -> None:
        """Append one document."""
        *parts, last = pieces(document, ROW_CHARACTERS)
        for part in parts:
            self._append(Row(part, True))
        self._append(Row(last, False))
        self.documents += 1
        self.characters += len(document)

    def _append(self, row: Row) -> None:
        self._rows.append(row)
        self._waiting += len(row.text)
        if self._waiting >= GROUP_CHARACTERS or len(self._rows) >= GROUP_ROWS:
            self.flush()
            if self._in_file >= FILE_CHARACTERS and not row.more:
                self._stack.close()
                self._table = None

    def flush(self) -> None:
        """Write what waits as a row group, into a new file if none is open."""
        import pyarrow

        if not self._rows:
            return
        schema = pyarrow.schema([(TEXT, pyarrow.string()), (MORE, pyarrow.bool_())])
        if self._table is None:
            from pyarrow.parquet import ParquetWriter

            path = self._folder / f"{self._split}-{self._files:05d}.parquet"
            stream = self._stack.enter_context(written_aside(path))
            writer = ParquetWriter(
                stream, schema, compression="zstd", use_dictionary=False
            )
            self._table = self._stack.enter_context(writer)
            self._files += 1
            self._in_file = 0
        columns = [list(column) for column in zip(*self._rows, strict=True)]
        self._table.write_table(pyarrow.table(columns, schema=schema))
        self._in_file += self._waiting
        self._rows.clear()
        self._waiting = 0


class Written(NamedTuple):
    """What went into one split."""

    documents: int
    characters: int


def write_corpus(folder: Path, dealt: Iterable[tuple[str, str]]) -> dict[str, Written]:
    """Write documents, each with its split, as the corpus files of ``folder``."""
    with ExitStack() as train, ExitStack() as test, ExitStack() as validation:
        stacks = zip(SPLITS, (train, test, validation), strict=True)
        writers = {split: SplitWriter(folder, split, stack) for split, stack in stacks}
        for split, document in dealt:
            writers[split].add(document)
        for writer in writers.values():
            writer.flush()
    return {s: Written(w.documents, w.characters) for s, w in writers.items()}


def join_files(folder: Path, split: str, parts: Sequence[Path]) -> None:
    """Write documents of files that SplitWriter has made as if in one go."""
    with ExitStack() as stack:
        writer = SplitWriter(folder, split, stack)
        for path in parts:
            for document in _joined(_rows_of_own(path)):
                writer.add(document)
        writer.flush()


def corpus_files(folder: Path, split: str) -> tuple[Path, ...]:
    """The files of one split, in order of their names.

    Raises DataError if there are none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no corpus; run `slangmod clean`")
    files = tuple(
        path
        for path in sorted(folder.glob("*.parquet"))
        if split_of_file(path.name) == split
    )
    if not files:
        raise DataError(
            f"{folder}: holds no parquet file for the {split} split; run "
            "`slangmod clean`"
        )
    return files


def corpus_digests(folder: Path, splits: tuple[str, ...] = SPLITS) -> dict[str, str]:
    """sha256 of each corpus file of ``splits``, by name."""
    files = [path for split in splits for path in corpus_files(folder, split)]
    return {path.name: sha256_of(path) for path in sorted(files)}


def corpus_rows(folder: Path, split: str) -> Iterator[Row]:
    """The rows of one split, by file name and place, few in memory at a time."""
    for path in corpus_files(folder, split):
        yield from file_rows(path)


def file_rows(path: Path) -> Iterator[Row]:
    """The rows of one corpus file, few in memory at a time.

    Raises DataError, naming it, if it is not sound, or ends within a document.
    """
    goes_on = False
    with named_errors(path):
        for row in _rows_of(path):
            goes_on = row.more
            yield row
    if goes_on:
        raise DataError(
            f"{path}: its last document goes on in a row that is not there; is the "
            "file complete?"
        )


def is_own(path: Path) -> bool:
    """Whether the file is as ``clean`` has written it.

    If not, it is somebody's who may mean no good.
    """
    listed = (read_mark(path.parent) or {}).get("files")
    status = path.stat()
    return isinstance(listed, dict) and listed.get(path.name) == _digest(
        path, status.st_size, status.st_mtime_ns
    )


@lru_cache(maxsize=256)
def _digest(path: Path, size: int, changed: int) -> str:
    """sha256 of what has this ``size`` and was ``changed`` then."""
    del size, changed
    return sha256_of(path)


def _rows_of(path: Path) -> Iterator[Row]:
    if not is_own(path):
        with open_regular(path) as stream:
            for row, goes_on in rows_apart(path, stream, COLUMNS, LARGEST_DOCUMENT):
                if row is not None:
                    yield Row(row, goes_on)
        return
    yield from _rows_of_own(path)


def _rows_of_own(path: Path) -> Iterator[Row]:
    with open_table(path) as table:
        check_column(table, TEXT, path)
        columns = [name for name in COLUMNS if name in table.schema_arrow.names]
        for text, *more in rows_of(table, columns):
            if text is not None:
                yield Row(text, bool(more and more[0]))


def corpus_documents(folder: Path, split: str) -> Iterator[str]:
    """The documents of one split, each in one piece."""
    return _joined(corpus_rows(folder, split))


def file_documents(path: Path, most: int) -> Iterator[str]:
    """The documents of one corpus file, each in one piece.

    Raises DataError for one of more than ``most`` characters.
    """
    return _joined(_bounded(path, most))


def _bounded(path: Path, most: int) -> Iterator[Row]:
    size = number = 0
    for row in file_rows(path):
        size += len(row.text)
        if size > most:
            raise DataError(
                f"{path}: document {number}: has more than {most} characters, which "
                "only a tokenizer of `slangmod tokenize` takes at a time; cut the text "
                "into documents, or unset files.tokenizer"
            )
        if not row.more:
            size, number = 0, number + 1
        yield row


def _joined(rows: Iterable[Row]) -> Iterator[str]:
    parts: list[str] = []
    for text, more in rows:
        parts.append(text)
        if not more:
            yield "".join(parts)
            parts.clear()


def count_rows(folder: Path, split: str) -> int | None:
    """Number of rows of one split, from the files' own account, where that is known."""
    counts = [count_file_rows(path) for path in corpus_files(folder, split)]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def count_file_rows(path: Path) -> int | None:
    """Number of rows of one corpus file, from its own account.

    None where it is not as ``clean`` has written it: what a forged account takes is not
    known, so it is only seen whether the file can be read at all.
    """
    from pyarrow.parquet import read_metadata

    with named_errors(path):
        if is_own(path):
            with open_regular(path) as stream:
                return int(read_metadata(stream).num_rows)
    next(file_rows(path), None)
    return None


def count_documents(path: Path) -> int:
    """Number of documents of one corpus file: rows that nothing more follows."""
    return sum(not row.more for row in file_rows(path))
