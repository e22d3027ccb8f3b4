"""Locks on files: one holder at a time, whatever becomes of it.

They are flock(2)'s, which the system frees when the holder ends, even if it is killed:
a lock is never stale. Beside each lies a file that says who holds it, which is told to
others and decides nothing.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from slangmod.errors import DataError, RunBusyError, RunError
from slangmod.files import write_text
from slangmod.reading import LONGEST_LINE, IrregularError, read_limited, regular

ATTEMPTS, PAUSE = 5, 0.1
"""How often a lock is asked for that is held, and the seconds in between."""


LONGEST = 200
"""Characters of what is said of a holder."""


def holder_file(path: Path) -> Path:
    """The file that says who holds the lock ``path``."""
    return path.with_suffix(".holder")


def holder_of(path: Path) -> str:
    """Who holds the lock ``path``, as far as that is known."""
    try:
        content = read_limited(holder_file(path), LONGEST_LINE)
    except (OSError, ValueError):
        return "another process"
    words = content.decode("utf-8", "replace").split()
    return " ".join(words)[:LONGEST] or "another process"


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock ``path``."""
    if not holder_file(path).is_file():
        return False
    try:
        descriptor = regular(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        # Shared, so that two who only look never meet each other's hold.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # of a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


@contextmanager
def locked(path: Path, what: str) -> Iterator[Callable[[], bool]]:
    """Hold ``path`` as the lock of ``what``.

    What is given tells whether it still is: not where the file was removed, for then
        content = read_limited(holder_file(path), LONGEST_LINE)
    except (OSError, ValueError):
    """
    holder = holder_file(path)
    try:
        descriptor = regular(path, os.O_RDWR | os.O_CREAT, 0o644)
    except (IrregularError, IsADirectoryError):
        raise DataError(f"{path}: is no file, and so no lock; move it away") from None
    try:
        if not (_obtained(descriptor, path) and _is_there(descriptor, path)):
            raise RunBusyError(f"{what} is in use by {holder_of(path)}")
        try:
            since = time.strftime("%Y-%m-%d %H:%M:%S %z")
            who = f"process {os.getpid()} on {os.uname().nodename} since {since}"
            write_text(holder, f"{who}\n")
            yield lambda: _is_there(descriptor, path)
        finally:
            if _is_there(descriptor, path):
                holder.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _obtained(descriptor: int, path: Path) -> bool:
    """Whether the lock is ours now; False if it was another's all the while.

    Who only looks whether it is held holds it for an instant, and who has just got it
    has yet to write its name: both are waited for.
    """
    for attempt in range(ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PAUSE * (attempt + 1 < ATTEMPTS))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise RunError(
                f"{path}: this file system has no locks ({reason}); choose a workdir "
                "on another, or mount it with them"
            ) from error
        else:
            return True
    return False


def _is_there(descriptor: int, path: Path) -> bool:
    """Whether ``path`` is still the file whose lock we hold; its folder may be gone."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
