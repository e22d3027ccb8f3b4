"""Parquet files that others have made, read in a process of its own.

What a parquet file takes in memory is known only when it was read: its own account may
be wrong by ten thousand times. The process may use a fixed amount, and what kills it
does not harm ours. It has the file as its standard input, and writes a frame for each
row: what it is (1 byte), how long (8 bytes), and the text in UTF-8.
"""

import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

from slangmod.errors import DataError

FRAME: Final = struct.Struct("<cQ")
TEXT, MORE, NULL, FAULT, END = b"T", b"M", b"N", b"F", b"E"
"""Kinds of frames: a text, one that goes on in the next row, a null; what is wrong with
the file; its end."""

LEAST_MEMORY: Final = 1 << 30
"""Bytes that the process may use; more where documents may be larger than a quarter."""
COMMAND: Final = "from slangmod.text.apart import serve; serve()"


def rows_apart(
    path: Path, stream: IO[bytes], columns: Sequence[str], most: int
) -> Iterator[tuple[str | None, bool]]:
    """Texts of the parquet file ``stream``, and whether each goes on in the next row.

    ``columns``: of the text and, if there is one, of whether it goes on. Raises
    DataError, naming ``path``, if the file is not sound or has a text of more than
    ``most`` bytes.
    """
    memory = max(LEAST_MEMORY, 4 * most)
    reader = subprocess.Popen(
        [sys.executable, "-P", "-c", COMMAND, str(memory), str(path), *columns],
        stdin=stream,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
        },
        start_new_session=True,  # Ctrl-C is for us, who then end it
    )
    try:
        assert reader.stdout is not None
        yield from _rows(reader.stdout, path, most, memory)
    finally:
        reader.kill()
        reader.communicate()


def _rows(
    frames: IO[bytes], path: Path, most: int, memory: int
) -> Iterator[tuple[str | None, bool]]:
    row = 0
    while len(head := frames.read(FRAME.size)) == FRAME.size:
        kind, size = FRAME.unpack(head)
        if kind == END:
            return
        if size > most and kind != FAULT:
            raise DataError(too_large(f"{path}: row {row}", size, most))
        text = frames.read(size).decode("utf-8", "replace")
        if kind == FAULT:
            raise DataError(text)
        yield (None if kind == NULL else text), kind == MORE
        row += 1
    raise DataError(
        f"{path}: cannot be read: at row {row} or after, it needs more than {memory} "
        "bytes of memory, or breaks down what reads it; is the file complete? smaller "
        "row groups need less"
    )


def too_large(place: str, size: int, most: int) -> str:
    """What is said of a document that is larger than is allowed."""
    return (
        f"{place}: a document of {size} bytes or more; files.max_doc_bytes = {most}: "
        "raise that, or cut the text into documents"
    )


def serve() -> None:
    """What the process does: read standard input, write frames, end."""
    import resource

    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = sys.stdout.buffer
    try:
        for kind, content in _frames(Path(sys.argv[2]), sys.argv[3:]):
            out.write(FRAME.pack(kind, len(content)) + content)
    except DataError as error:
        content = str(error).encode("utf-8", "replace")
        out.write(FRAME.pack(FAULT, len(content)) + content)
    out.write(FRAME.pack(END, 0))
    out.flush()


def _frames(path: Path, columns: list[str]) -> Iterator[tuple[bytes, bytes]]:
    from slangmod.text.readers import check_column, open_table, rows_of
    from slangmod.text.unpacking import named_errors

    with named_errors(path), open_table(sys.stdin.buffer) as table:
        check_column(table, columns[0], path)
        there = [name for name in columns if name in table.schema_arrow.names]
        row: tuple[Any, ...]
        for row in rows_of(table, there):
            text, *more = row
            if text is None:
                yield NULL, b""
            else:
                yield (
                    MORE if more and more[0] else TEXT,
                    text.encode("utf-8", "replace"),
                )
