"""Files that others may have made, read under limits.

Whatever a file holds, reading it ends soon, in bounded memory, and fails with OSError
or ValueError alone.
"""

import errno
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

from slangmod.errors import DataError

LARGEST_JSON: Final = 1 << 24
"""Bytes: some ten thousand times a usual manifest. Empty tables, the worst there is,
take 25 times as much memory."""


def is_there(path: Path) -> bool:
    """Whether there is something at ``path``; OSError where the disk does not say."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def refuse_link(path: Path) -> None:
    """Raise DataError if ``path`` is a link: what is written stays where it is."""
    if path.is_symlink():
        raise DataError(
            f"{path}: is a link to another place, which slangmod reads and never "
            "changes; remove the link, or set workdir to a folder there"
        )


def open_regular(path: Path) -> BinaryIO:
    """``path`` opened for reading; OSError if it is no regular file.

    A pipe would make its reader wait for ever, and a device has no end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def read_limited(path: Path, most: int) -> bytes:
    """The content of ``path``; ValueError if it has more than ``most`` bytes."""
    with open_regular(path) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise ValueError(f"larger than {most} bytes")
    return content


def read_json(path: Path, most: int = LARGEST_JSON) -> Any:
    """The value in the JSON file ``path``; raises OSError or ValueError."""
    return parsed(read_limited(path, most))


def parsed(content: bytes | str) -> Any:
    """The value that JSON of bounded size spells; ValueError if it does not."""
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None


LONGEST_LINE: Final = 1 << 16
"""Bytes that a line of a table may have."""


def bounded_lines(stream: IO[bytes], most: int = LONGEST_LINE) -> Iterator[bytes]:
    """The lines of ``stream`` with their ends; longer ones come in pieces of ``most``.

    A piece of such a line does not end in a newline, save the last.
    """
    while line := stream.readline(most):
        yield line
