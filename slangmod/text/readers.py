"""Documents out of raw files, one after the other; what cannot be read says where."""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from slangmod.errors import DataError
from slangmod.reading import parsed
from slangmod.text.apart import rows_apart, too_large
from slangmod.text.documents import RawFile
from slangmod.text.unpacking import named_errors, seekable, unpacked

BATCH_BYTES = 1 << 18
"""Parquet rows are read so many bytes at a time, going by the file's own account."""

LARGEST_DOCUMENT = 1 << 28
"""Bytes in UTF-8."""
JSON_SHARE = 8
"""By which a line of JSON may have less: empty tables take 25 times the memory."""


@dataclass
class Oddities:
    """What was put up with while reading; ``clean`` tells how often."""

    nulls: int = 0
    """documents that were null, and skipped"""
    surrogates: int = 0
    """documents with lone surrogates, which became U+FFFD"""


def read_documents(
    file: RawFile, column: str, oddities: Oddities, most: int = LARGEST_DOCUMENT
) -> Iterator[str]:
    """The documents of one raw file in their order, a few in memory at a time.

    Raises DataError, naming file, row or line, and column, where it is broken or has a
    document of more than ``most`` bytes.
    """
    with named_errors(file.path):
        for text in READERS[file.kind](file, column, most):
            if text is None:
                oddities.nulls += 1
                continue
            sound = without_surrogates(text)
            oddities.surrogates += sound is not text
            yield sound


def without_surrogates(text: str) -> str:
    """``text`` itself, or with U+FFFD for the surrogates that no text may hold."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        pairs = text.encode("utf-16-le", "surrogatepass")
        return pairs.decode("utf-16-le", "replace")
    return text


def _read_text(file: RawFile, column: str, most: int) -> Iterator[str | None]:
    """A file of text is one document, taken as it is but for a byte order mark."""
    del column
    with unpacked(file) as stream:
        content = _at_most(stream, most, file.path)
    try:
        yield content.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        marked = len(codecs.BOM_UTF8) * content.startswith(codecs.BOM_UTF8)
        raise DataError(
            f"{file.path}: byte {error.start + marked} "
            f"(0x{error.object[error.start]:02x}) is not UTF-8; convert the file, for "
            "instance with iconv"
        ) from None


def _at_most(stream: IO[bytes], most: int, path: Path) -> bytes:
    """All of ``stream``; DataError as soon as it turns out to be too much."""
    blocks: list[bytes] = []
    size = 0
    while block := stream.read(1 << 20):
        blocks.append(block)
        size += len(block)
        if size > most:
            raise DataError(too_large(str(path), size, most))
    return b"".join(blocks)


def _lines(stream: IO[bytes], most: int, path: Path) -> Iterator[bytes]:
    """Lines that end in a newline and in nothing else."""
    number, rest = 1, [b""]
    size = 0
    while block := stream.read(1 << 18):
        first, *lines = block.split(b"\n")
        rest.append(first)
        size += len(first)
        if size > most // JSON_SHARE:
            raise DataError(too_large(f"{path}:{number}", JSON_SHARE * size, most))
        if lines:
            *whole, last = lines
            yield from [b"".join(rest), *whole]
            number += len(lines)
            rest, size = [last], len(last)
    if rest != [b""]:
        yield b"".join(rest)


def _read_jsonl(file: RawFile, column: str, most: int) -> Iterator[str | None]:
    with unpacked(file) as stream:
        for number, line in enumerate(_lines(stream, most, file.path), 1):
            if len(line) > most // JSON_SHARE:
                size = JSON_SHARE * len(line)
                raise DataError(too_large(f"{file.path}:{number}", size, most))
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if line.strip():
                yield _from_json(line, column, f"{file.path}:{number}")


def _from_json(line: bytes, column: str, place: str) -> str | None:
    try:
        record = parsed(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: byte {error.start} is not UTF-8") from None
    except ValueError as error:
        raise DataError(f"{place}: not valid JSON: {error}") from None
    if not isinstance(record, dict):
        kind = type(record).__name__
        raise DataError(f"{place}: holds a {kind}; each line must be an object")
    if column not in record:
        raise DataError(_missing(place, "key", column, record))
    value = record[column]
    if value is None or isinstance(value, str):
        return value
    kind = type(value).__name__
    raise DataError(f"{place}: {column!r} holds a {kind}; it must be text")


def _missing(place: str | Path, what: str, column: str, there: Any) -> str:
    names = ", ".join(map(repr, list(there)[:8])) or "none"
    return (
        f"{place}: has no {what} {column!r} (files.column); set it to one of those "
        f"that are there: {names}"
    )


def _read_parquet(file: RawFile, column: str, most: int) -> Iterator[str | None]:
    with seekable(file) as source:
        for text, _ in rows_apart(file.path, source, [column], most):
            yield text


def open_table(source: Any) -> Any:
    """A parquet file, given by its path or as a stream, to be read bit by bit."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    # Arrow's own pool keeps what was freed, and its readers fetch row groups ahead:
    # either would let memory grow with the file.
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    return ParquetFile(source, pre_buffer=False)


def rows_of(table: Any, columns: list[str]) -> Iterator[tuple[Any, ...]]:
    """Rows of a parquet file, about BATCH_BYTES of them in memory at a time."""
    size, rows = 0, table.metadata.num_rows
    for group in range(table.metadata.num_row_groups):
        size += table.metadata.row_group(group).total_byte_size
    many = max(1, min(1024, BATCH_BYTES * rows // max(1, size)))
    for batch in table.iter_batches(many, columns=columns, use_threads=False):
        yield from zip(*(batch[name].to_pylist() for name in columns), strict=True)


def check_column(table: Any, column: str, place: Path) -> None:
    """Raise DataError unless the parquet file has a text column of that name."""
    from pyarrow import types

    schema = table.schema_arrow
    if schema.names.count(column) != 1:
        raise DataError(_missing(place, "column", column, schema.names))
    kind = schema.field(column).type
    inner = kind.value_type if types.is_dictionary(kind) else kind
    if not (
        types.is_string(inner)
        or types.is_large_string(inner)
        or types.is_string_view(inner)
    ):
        raise DataError(
            f"{place}: column {column!r} is of type {kind}; it must be text"
        )


READERS: dict[str, Callable[[RawFile, str, int], Iterator[str | None]]] = {
    ".txt": _read_text,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
