"""What a disk has room for, and what it refuses, in words."""

import errno
import os
from pathlib import Path
from typing import Final

from slangmod.files import ASIDE
from slangmod.reading import is_there, regular

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors that say that there is no room left, be it for this user or in one file."""


def room_at(path: Path) -> int | None:
    """What can still be written where ``path`` is or will be; None if unknown.

    Where the system keeps a reserve for its administrator, that counts for them only.
    """
    try:
        while not is_there(path) and path != path.parent:
            path = path.parent
        system = os.statvfs(path)
    except OSError:
        return None
    if not system.f_blocks:  # some file systems do not count
        return None
    free = system.f_bavail if os.geteuid() else system.f_bfree
    return free * system.f_frsize


def forget_cached(path: Path) -> None:
    """Have the next reading of ``path`` come from the disk, where that can be had.

    Else the system answers from memory, and what the disk has garbled goes unseen.
    """
    if not hasattr(os, "posix_fadvise"):  # macOS has none
        return
    descriptor = regular(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def refuse_without_room(path: Path, needed: int) -> None:
    """Raise OSError if ``needed`` bytes are known not to fit where ``path`` will be."""
    free = room_at(path)
    if free is not None and free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def trouble(path: Path, error: OSError, needed: int | None = None) -> str:
    """Why the disk refuses ``path``, or what else ``error`` is about, and what is free.

    ``needed`` bytes are said to be, where that is known.

    >>> trouble(Path("nowhere"), OSError(errno.EIO, "Input/output error"), 7)
    'nowhere: input/output error'
    """
    reason = error.strerror or str(error)
    reason = reason[:1].lower() + reason[1:]
    named = str(error.filename or "")
    if named and ASIDE not in named:  # what is aside is gone by now
        path = Path(named)
    if error.errno not in FULL:
        return f"{path}: {reason}"
    free = room_at(path)
    facts = [
        f"{amount(size)} {word}"
        for size, word in ((needed, "needed"), (free, "free"))
        if size is not None
    ]
    return f"{path}: {reason}: {', '.join(facts)}"


def amount(size: int) -> str:
    """``size`` bytes for a person to read.

    >>> amount(999), amount(12_345_678)
    ('999 bytes', '12.3 MB')
    """
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"
