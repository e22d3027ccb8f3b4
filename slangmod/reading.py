"""Files that others may have made, read under limits.

Whatever a file holds, reading it ends soon, in bounded memory, and fails with OSError
or ValueError alone.
"""

import errno
import json
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Final

from slangmod.errors import DataError

LARGEST_JSON: Final = 1 << 24
"""Bytes: some ten thousand times a usual manifest. Empty tables, the worst there is,
take 25 times as much memory."""


IRREGULAR: Final = "not a regular file"

NOWHERE: Final = "is a symbolic link that leads nowhere; remove it"


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


def refuse_irregular(path: Path) -> None:
    """Raise DataError if what is at ``path`` is neither a file nor a folder.

    So is a link that leads nowhere.
    """
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise DataError(f"{path}: {NOWHERE}") from None
        return  # somebody has removed it meanwhile
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise DataError(f"{path}: is {IRREGULAR}; remove it")


class IrregularError(OSError):
    """There is a pipe, a device or a socket where a file should be."""


def regular(path: Path, flags: int, mode: int = 0o666) -> int:
    """A descriptor of the file ``path``, opened with ``flags`` of ``os.open``.

    Raises IrregularError, and waits for nobody, if it is no regular file: a pipe would
    make who opens it wait for ever, and a device has no end.
    """
    careful = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | careful, mode)
    except OSError as error:
        if error.errno != errno.ENXIO:  # of a socket, or a pipe that nobody reads
            raise
        raise IrregularError(errno.EINVAL, IRREGULAR, str(path)) from None
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        os.set_blocking(descriptor, True)
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise IrregularError(errno.EINVAL, IRREGULAR, str(path))


def open_regular(path: Path) -> BufferedReader:
    """``path`` opened for reading; OSError if it is no regular file."""
    return os.fdopen(regular(path, os.O_RDONLY), "rb")


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
