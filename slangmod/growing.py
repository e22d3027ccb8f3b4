"""Files that grow at their end, such as logs and tables, on a disk that may be full."""

import errno
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from slangmod.errors import DataError
from slangmod.files import cut
from slangmod.reading import bounded_lines, is_there, open_regular, regular
from slangmod.syncing import sync_folder

ROOM = 64 * 2**20
"""Bytes of one file that wait in memory at most."""


NEVER: Final = (errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EINVAL)
"""Errors that waiting does not mend."""


def refuse_unwritable(path: Path) -> None:
    """Raise DataError if nothing can ever be appended to what is at ``path``."""
    try:
        os.close(regular(path, os.O_WRONLY | os.O_APPEND))
    except OSError as error:
        if error.errno in NEVER:
            reason = str(error.strerror)
            raise DataError(
                f"{path}: cannot be written: {reason[:1].lower() + reason[1:]}; move "
                "it away"
            ) from None


class Growing:
    """A file that grows at its end, bytes reaching the system at once.

    What the disk refuses waits in memory, in order, and is tried again by the next
    call: ``add``, ``sync`` and ``close`` return the error that bytes wait for, or
    None. So a full disk delays lines and loses none, until more than ``room`` bytes
    wait; what is added then is dropped whole and counted in ``lost``.
    """

    def __init__(self, path: Path, room: int = ROOM) -> None:
        self.path = path
        self.lost = 0
        self._room = room
        self._waiting = bytearray()
        self._descriptor: int | None = None
        self._named = False  # whether the name of the file is durable

    def add(self, content: bytes) -> OSError | None:
        """Append ``content``, after what still waits."""
        if len(self._waiting) + len(content) > self._room:
            error = self._pass_on()
            if error is not None:
                self.lost += len(content)
                return error
        self._waiting += content
        return self._pass_on()

    def sync(self) -> OSError | None:
        """Make all that was added durable, and the name of the file, too."""
        error = self._pass_on()
        if error is not None or self._descriptor is None:
            return error
        try:
            os.fsync(self._descriptor)
            if not self._named:
                sync_folder(self.path.parent)
                self._named = True
        except OSError as refused:
            return self._named_in(refused)
        return None

    def close(self) -> OSError | None:
        """Try once more to write what waits, then let go of the file."""
        error = self._pass_on() if self._waiting else None
        self._let_go()
        return error

    def cut(self, is_kept: Callable[[bytes], bool], longest: int) -> None:
        """Drop all behind the last line that ``is_kept``, be it written or waiting.

        Lines of more than ``longest`` bytes come in pieces. Raises OSError where the
        disk refuses, and then nothing is dropped.
        """
        self.close()
        size = position = 0
        for line in self._lines(longest):
            position += len(line)
            if is_kept(line):
                size = position
        written = self.path.stat().st_size if is_there(self.path) else 0
        if size < written:
            cut(self.path, size)
        del self._waiting[max(0, size - written) :]

    def _lines(self, longest: int) -> Iterator[bytes]:
        """All lines, of which the last that is written may end in what waits."""
        torn = b""
        if is_there(self.path):
            with open_regular(self.path) as stream:
                for line in bounded_lines(stream, longest):
                    if torn:
                        yield torn
                    torn = line
        if torn.endswith(b"\n"):
            yield torn
            torn = b""
        yield from bounded_lines(io.BytesIO(torn + self._waiting), longest)

    @property
    def gone(self) -> bool:
        """Whether the file was removed while it was open; bytes go nowhere then.

        Raises OSError where the disk does not say.
        """
        return self._descriptor is not None and not is_there(self.path)

    def begin_again(self, head: bytes = b"") -> None:
        """Make another file, of ``head`` and what still waits, by the next call."""
        self._let_go()
        self._named = False
        self._waiting[:0] = head

    def _pass_on(self) -> OSError | None:
        """Give the system all that waits."""
        try:
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                self._descriptor = regular(self.path, flags)
            while self._waiting:
                done = os.write(self._descriptor, self._waiting)
                del self._waiting[:done]
        except OSError as error:
            return self._named_in(error)
        return None

    def _named_in(self, error: OSError) -> OSError:
        """``error`` with the file that it is about, which the system does not say."""
        error.filename = error.filename or str(self.path)
        return error

    def _let_go(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)
