"""Locks that are waited for: one worker on a study after the other.

They are flock(2)'s, which the system frees when the holder dies. What is in the file
of a lock does not matter and stays as it is, should it be somebody else's.
"""

import fcntl
import os
from pathlib import Path
from typing import Self

from slangmod.errors import DataError, RunError
from slangmod.reading import regular


class FileTurn:
    """One's turn at the lock ``path``; the file is made if need be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> bool:
        """Wait until nobody else holds it.

        Raises RunError where the file system has no locks, DataError for a link.
        """
        if self._path.is_symlink():
            raise DataError(f"{self._path}: is a link to another place; remove it")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        descriptor = regular(self._path, flags, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            os.close(descriptor)
            reason = error.strerror or type(error).__name__
            raise RunError(
                f"{self._path}: this file system has no locks ({reason}); set "
                "sweep.storage to a place on another, or mount it with them"
            ) from error
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let others have it."""
        os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Self:
        """``acquire``."""
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        """``release``."""
        self.release()
