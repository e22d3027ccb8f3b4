"""Functions called in several processes of this machine, results in order.

The processes end with the one that started them, however that ends, and at once where
it gives up.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from slangmod.errors import RunError


def results_of[T](
    processes: int, function: Callable[..., T], arguments: Sequence[tuple[Any, ...]]
) -> Iterator[T]:
    """``function`` of each of ``arguments``, in order, in as many processes as pay.

    Raises what the function raises, of several calls the first, and RunError if one
    of the processes dies.
    """
    processes = min(processes, len(arguments))
    if processes <= 1:
        yield from (function(*each) for each in arguments)
        return
    with pool_of(processes) as pool:
        for call in [pool.submit(function, *each) for each in arguments]:
            yield call.result()


class Helper(SpawnProcess):
    """A process that no Ctrl-C reaches, not even while it begins: its parent heeds it.

    A fork would take over threads, and locks that nobody would ever free.
    """

    def start(self) -> None:
        """Begin with the signal blocked, which is what a process inherits."""
        resource_tracker.ensure_running()  # which unblocks signals when it begins
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Helpers(SpawnContext):
    """Makes such processes."""

    Process = Helper


@contextmanager
def pool_of(
    processes: int,
    begin: Callable[..., object] | None = None,
    arguments: tuple[Any, ...] = (),
) -> Iterator[ProcessPoolExecutor]:
    """Processes that each call ``begin`` first; killed where the block ends badly."""
    before = {*multiprocessing.active_children()}
    pool = ProcessPoolExecutor(
        processes,
        mp_context=Helpers(),
        initializer=_begin,
        initargs=(begin, arguments),
    )
    try:
        yield pool
    except BaseException as error:
        for process in {*multiprocessing.active_children()} - before:
            process.kill()
        if isinstance(error, BrokenProcessPool):
            raise RunError(
                "a process that helps was killed, perhaps for want of memory; with "
                "threads = 1 there is none but this"
            ) from error
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(begin: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    """What such a process does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
