"""The bytes of raw files, unpacked, and what is said when they are broken."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from slangmod.errors import DataError
from slangmod.files import scratch
from slangmod.text.documents import RawFile


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn whatever a library says of a broken file into a DataError that names it."""
    from pyarrow import ArrowException

    try:
        yield
    except DataError:
        raise
    except (OSError, EOFError, zlib.error, ArrowException) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise DataError(
            f"{path}: cannot be read: {reason}; is the file complete?"
        ) from None


@contextmanager
def unpacked(file: RawFile) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked."""
    if file.packing == ".gz":
        with gzip.open(file.path, "rb") as stream:
            yield cast(IO[bytes], stream)
    elif file.packing == ".zst":
        import pyarrow

        with pyarrow.CompressedInputStream(str(file.path), "zstd") as stream:
            yield stream
    else:
        with file.path.open("rb") as stream:
            yield stream


@contextmanager
def seekable(file: RawFile) -> Iterator[Any]:
    """What parquet needs: its bytes at any place, so packed ones go to disk first."""
    if not file.packing:
        yield str(file.path)
        return
    with unpacked(file) as stream, scratch() as content:
        while block := stream.read(1 << 20):
            content.write(block)
        content.seek(0)
        yield content
