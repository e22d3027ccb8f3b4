"""Processes that help: no Ctrl-C reaches them, and they end with who started them."""

import os
import signal
from multiprocessing.connection import Connection

import pytest

from slangmod.parallel.workers import Helpers, pool_of, results_of


def blocked() -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def tell(end: Connection) -> None:
    end.send(blocked())


def heedless() -> tuple[bool, bool]:
    return blocked(), signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_no_ctrl_c_reaches_a_process_that_begins() -> None:
    ours, theirs = Helpers().Pipe()
    process = Helpers().Process(target=tell, args=(theirs,))
    process.start()
    assert not blocked()
    assert ours.recv()
    process.join()
    assert process.exitcode == 0


def test_nor_one_that_works() -> None:
    with pool_of(1) as pool:
        assert pool.submit(heedless).result() == (False, True)


def test_who_gives_up_leaves_nobody_behind() -> None:
    with pytest.raises(KeyboardInterrupt), pool_of(2) as pool:
        number = pool.submit(os.getpid).result()
        raise KeyboardInterrupt
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_order_and_the_first_error_counts(processes) -> None:
    calls = [("7",), ("x",), ("y",)]
    results = results_of(processes, int, calls)
    assert next(results) == 7
    with pytest.raises(ValueError, match="'x'"):
        next(results)
