"""Work that a crew shares, or that one process does alone."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from slangmod.files import MARKER
from slangmod.parallel.crew import Crew
from slangmod.parallel.meeting import Meeting
from slangmod.parallel.sharing import Sharing
from slangmod.parallel.signs import remove
from slangmod.reading import refuse_link

SECONDS_UNTIL_LEFT: Final = 3600.0
"""Since the last sign of life in a meeting's folder, after which nobody is there."""


@contextmanager
def together(path: Path, crew: Crew, timeout: float) -> Iterator[Sharing]:
    """Meet the others of ``crew``, if there are any, to make ``path`` together."""
    folder = path.with_name(f".crew-{path.name}")
    if crew.size == 1:
        yield Sharing()
        if is_left(folder, time.time()):
            remove(folder)
        return
    refuse_link(folder)
    one = Meeting(folder, crew, timeout)
    beating = threading.Thread(target=one.keep_beating, daemon=True)
    beating.start()
    try:
        one.begin()
        yield one
        one.stop()
        beating.join()
        one.leave()
    except BaseException as error:
        one.stop()
        one.fail(error)
        raise


def is_left(folder: Path, now: float) -> bool:
    """Whether a meeting that was broken off has left ``folder``, and not just now.

    ``now``, in seconds since 1970, may differ by minutes from the disk's.
    """
    if folder.is_symlink() or not (folder / MARKER).is_file():
        return False
    signs = [path.stat().st_mtime for path in folder.glob("rank-*.json")]
    return now - max(signs, default=0.0) > SECONDS_UNTIL_LEFT
