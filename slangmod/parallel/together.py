"""Work that a crew shares, or that one process does alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slangmod.parallel.crew import Crew
from slangmod.parallel.meeting import Meeting
from slangmod.parallel.sharing import Sharing


@contextmanager
def together(path: Path, crew: Crew, timeout: float) -> Iterator[Sharing]:
    """Meet the others of ``crew``, if there are any, to make ``path`` together."""
    if crew.size == 1:
        yield Sharing()
        return
    one = Meeting(path.with_name(f".crew-{path.name}"), crew, timeout)
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
