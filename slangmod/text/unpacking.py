"""The bytes of raw files, unpacked, and what is said when they are broken."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from slangmod.errors import DataError
from slangmod.files import scratch
from slangmod.reading import open_regular
from slangmod.text.documents import RawFile


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn whatever a library says of a broken file into a DataError that names it."""
    from pyarrow import ArrowException

    try:
        yield
    except DataError:
        raise
    except (OSError, EOFError, ValueError, zlib.error, ArrowException) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise DataError(
            f"{path}: cannot be read: {reason}; is the file complete?"
        ) from None


@contextmanager
def unpacked(file: RawFile) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked."""
    if file.packing == ".gz":
        with open_regular(file.path) as packed, gzip.open(packed, "rb") as stream:
            yield cast(IO[bytes], stream)
    elif file.packing == ".zst":
        import pyarrow

        with (
            open_regular(file.path) as packed,
            pyarrow.CompressedInputStream(packed, "zstd") as stream,
        ):
            yield stream
    else:
        with open_regular(file.path) as stream:
            yield stream


@contextmanager
def seekable(file: RawFile) -> Iterator[IO[bytes]]:
    """What parquet needs: its bytes at any place, so packed ones go to disk first.

    Raises DataError if they are so many more than the packed ones that this is no
    parquet file, which would fill the disk.
    """
    if not file.packing:
        with open_regular(file.path) as stream:
            yield stream
        return
    most = max(LEAST_UNPACKED, MOST_PACKED * file.path.stat().st_size)
    with unpacked(file) as packed, scratch() as content:
        while block := packed.read(1 << 20):
            content.write(block)
            if content.tell() > most:
                raise DataError(
                    f"{file.path}: unpacks to more than {most} bytes; unpack it "
                    "yourself if that is meant"
                )
        content.flush()
        content.seek(0)
        yield content


LEAST_UNPACKED = 1 << 28
MOST_PACKED = 100
"""Bytes that may come out of a packed parquet file, or times its size, if that is more;
its content is packed already."""
