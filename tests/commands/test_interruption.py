"""Signals end an action at once, even where a library does not let Python hear."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from slangmod.commands.interruption import (
    STOPPING,
    WATCHES,
    begin_anew,
    broken_off_by_signals,
)
from slangmod.commands.postponing import AGAIN, BrokenOffError, Postponing
from slangmod.commands.signals import Signals
from slangmod.errors import StoppedError


@pytest.mark.parametrize("number", STOPPING.values())
def test_a_signal_breaks_off_what_is_done(number) -> None:
    tidied = []
    expected = KeyboardInterrupt if number == signal.SIGINT else BrokenOffError
    # Where the tests run without a terminal, a hang-up may be ignored.
    outside = signal.signal(number, signal.default_int_handler)
    with pytest.raises(expected), broken_off_by_signals():
        try:
            os.kill(os.getpid(), number)
            time.sleep(60)
        finally:
            tidied.append(number)
    assert tidied == [number]
    assert signal.getsignal(number) is signal.default_int_handler
    signal.signal(number, outside)
    assert signal.set_wakeup_fd(-1) == -1


CLUMSY = """
import os, time
try:
    os.kill(os.getpid(), {number})
    time.sleep(0.2)
    whole = True
except BaseException:  # as an extension in C++ that knows nothing of signals
    whole = False
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_imported_is_imported_whole(number, tmp_path, monkeypatch) -> None:
    (tmp_path / "clumsy.py").write_text(CLUMSY.format(number=int(number)), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    expected = KeyboardInterrupt if number == signal.SIGINT else BrokenOffError
    with pytest.raises(expected), broken_off_by_signals():
        import clumsy

        time.sleep(60)
    assert clumsy.whole
    del sys.modules["clumsy"]
    with pytest.raises(StoppedError), Signals():  # as from Python
        import clumsy

        time.sleep(60)
    assert clumsy.whole
    del sys.modules["clumsy"]


def test_what_came_in_the_last_moment_does_not_come_again() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with Postponing() as postponing:
        postponing.come_again(signal.SIGINT)
    time.sleep(2 * AGAIN)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("times", [1, 3])
def test_what_is_heeded_at_last_does_not_come_again(times) -> None:
    tidied = []
    with pytest.raises(StoppedError) as stop, Signals() as signals:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)[:times]:
            signals.received = signals.received or number
            signals._postponing.come_again(number)  # as while a module is imported
        try:
            signals.arm()
        finally:
            time.sleep(2 * AGAIN)
            tidied.append(True)
    assert tidied
    assert stop.value.exit_code == 128 + signal.SIGTERM


SLOW_MODULE = """
import os, time
os.kill(os.getpid(), 15)
end = time.monotonic() + 60
while time.monotonic() < end:
    time.sleep(0.01)
"""


def test_an_import_that_does_not_end_is_not_waited_for(tmp_path, monkeypatch) -> None:
    (tmp_path / "endless.py").write_text(SLOW_MODULE, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("slangmod.commands.signals.PATIENCE", 0.2)
    begin = time.monotonic()
    with pytest.raises(StoppedError), broken_off_by_signals(), Signals():
        import endless  # noqa: F401
    assert time.monotonic() - begin < 30


INNER = """
import os, time
from slangmod.commands.postponing import BrokenOffError
from slangmod.commands.signals import Signals
from slangmod.errors import StoppedError
try:
    with Signals():
        os.kill(os.getpid(), 15)
        time.sleep(1)
except StoppedError:
    stopped = True
"""


def test_who_trains_while_being_imported_is_heard(tmp_path, monkeypatch) -> None:
    (tmp_path / "script.py").write_text(INNER, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import script

    assert script.stopped
    del sys.modules["script"]


def test_blocks_may_be_in_one_another() -> None:
    with broken_off_by_signals(), broken_off_by_signals():
        pass
    with pytest.raises(BrokenOffError), broken_off_by_signals():
        with pytest.raises(BrokenOffError), broken_off_by_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)


class Deaf:
    """What it is called for when it goes, Python drops the errors of."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_a_signal_raises_is_not_swallowed(number, capsys) -> None:
    expected = KeyboardInterrupt if number == signal.SIGINT else BrokenOffError
    with pytest.raises(expected), broken_off_by_signals():
        deaf = Deaf(number)
        del deaf
        time.sleep(60)
    with pytest.raises(StoppedError), broken_off_by_signals(), Signals():
        deaf = Deaf(number)
        del deaf
        time.sleep(60)
    assert capsys.readouterr().err == ""


def test_a_second_ctrl_c_that_python_drops_comes_again() -> None:
    with pytest.raises(StoppedError, match="a second Ctrl-C"), Signals() as signals:
        signals.arm()
        os.kill(os.getpid(), signal.SIGINT)
        deaf = Deaf(signal.SIGINT)
        del deaf
        time.sleep(60)


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with broken_off_by_signals(), Signals() as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not signals.requested()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_beside_the_main_thread_signals_are_left_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    found = []

    def work() -> None:
        with broken_off_by_signals(), Signals():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_signal_between_the_block_and_who_is_next_changes_nothing(
    monkeypatch,
) -> None:
    class Event(threading.Event):
        """Set first of all that is done behind the block."""

        def set(self) -> None:
            if not self.is_set():
                super().set()
                signal.raise_signal(signal.SIGTERM)

    kinds = iter([Event])
    kind = threading.Event
    monkeypatch.setattr(threading, "Event", lambda: next(kinds, kind)())
    with broken_off_by_signals():
        pass
    assert not [*kinds]


ENDING = """
import atexit, os, signal
from slangmod import cli
signal.signal(signal.{name}, signal.SIG_DFL)  # it may be ignored where tests run
def late():
    os.kill(os.getpid(), signal.{name})
    os.write(1, b"went on")
{first}
run = cli.run
def run_and(arguments):
    {then}
    return run(arguments)
cli.run = run_and
cli.entry_point()
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT"])
@pytest.mark.parametrize("first", [True, False])
def test_a_signal_that_finds_a_program_ending_does_not_change_its_code(
    name, first
) -> None:
    """It ends at once, or there is nothing left that could take long."""
    places = ("atexit.register(late)", "pass")
    first_place, then = places if first else places[::-1]
    program = ENDING.format(name=name, first=first_place, then=then)
    done = subprocess.run(
        [sys.executable, "-c", program, "config", "nothing"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "nothing" in done.stderr
    assert done.stdout == "went on" * first


DEAF = """
import hashlib
from slangmod.commands.interruption import broken_off_by_signals
with broken_off_by_signals(patience=0.2):
    print(flush=True)
    hashlib.pbkdf2_hmac("sha256", b"long", b"work", 2_000_000_000)
"""

SLOW = """
from slangmod.commands.interruption import broken_off_by_signals
with broken_off_by_signals(patience=0.2):
    import slow
"""


@pytest.mark.parametrize("program", [DEAF, SLOW])
def test_a_library_that_does_not_listen_is_not_waited_for(program, tmp_path) -> None:
    (tmp_path / "slow.py").write_text("import time; print(flush=True); time.sleep(60)")
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=50)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM" in errors


STUCK = """
import hashlib, sys, time
from slangmod.commands import signals
from slangmod.commands.interruption import broken_off_by_signals
from slangmod.errors import StoppedError
signals.PATIENCE = 0.2
try:
    with broken_off_by_signals(), signals.Signals() as training:
        {saved}
        {armed}
        print(flush=True)
        {stuck}
except StoppedError as stop:
    print(stop, file=sys.stderr)
    sys.exit(stop.exit_code)
"""
IN_C = "hashlib.pbkdf2_hmac('sha256', b'long', b'work', 2_000_000_000)"
TIDYING = """try:
            time.sleep(60)
        finally:
            time.sleep(60)"""


@pytest.mark.parametrize(
    ("stuck", "armed", "saved", "names", "code", "said"),
    [
        (IN_C, True, False, ("SIGINT", "SIGINT"), 130, "a second Ctrl-C"),
        (IN_C, True, False, ("SIGTERM", "SIGINT", "SIGINT"), 130, "a second Ctrl-C"),
        (TIDYING, True, False, ("SIGINT", "SIGINT"), 130, "a second Ctrl-C"),
        (TIDYING, False, False, ("SIGINT", "SIGINT"), 130, "stopped by SIGINT"),
        (IN_C, False, False, ("SIGTERM",), 143, "stopped by SIGTERM"),
        (IN_C, False, True, ("SIGTERM",), 75, "SIGTERM with a checkpoint at step 7"),
    ],
)
def test_a_training_that_does_not_listen_is_ended(
    stuck, armed, saved, names, code, said
) -> None:
    program = STUCK.format(
        stuck=stuck,
        armed="training.arm()" if armed else "",
        saved="training.saved('step 7')" if saved else "",
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        for name in names:
            time.sleep(0.2)
            assert process.poll() is None
            process.send_signal(STOPPING[name])
        _, errors = process.communicate(timeout=50)
    assert process.returncode == code
    assert said in errors
    assert errors.count("\n") == 1


def test_an_interpreter_that_nobody_watches_is_not_ended() -> None:
    with Signals():
        assert not WATCHES
    with broken_off_by_signals():
        outside = {*WATCHES}
        with Signals():
            assert len(WATCHES) == len(outside) + 1
        assert outside == {*WATCHES}
    assert not WATCHES


def test_a_signal_before_there_is_a_checkpoint_has_its_own_code() -> None:
    with pytest.raises(StoppedError) as stop, Signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.value.exit_code == 128 + signal.SIGTERM
    assert "nothing was written" in str(stop.value)


@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 75), ("SIGINT", 130)])
def test_a_signal_while_all_is_saved_ends_at_once(number, code) -> None:
    with pytest.raises(StoppedError, match="at step 7") as stop, Signals() as signals:
        signals.arm()
        signals.saved("step 7")
        os.kill(os.getpid(), STOPPING[number])
        time.sleep(60)
    assert stop.value.exit_code == code


def test_what_was_swallowed_on_the_way_is_not_lost() -> None:
    with pytest.raises(StoppedError) as stop, Signals() as signals:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        except BaseException:  # as what Python calls behind the scenes does
            pass
        signals.arm()
        raise AssertionError("went on")
    assert stop.value.exit_code == 128 + signal.SIGTERM


def test_a_signal_that_comes_when_all_is_done_is_not_lost() -> None:
    with (
        pytest.raises(StoppedError, match="when all was done") as stop,
        Signals() as signals,
    ):
        signals.arm()
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.requested()
    assert stop.value.exit_code == 75


def test_only_the_second_ctrl_c_interrupts() -> None:
    heard = []
    with pytest.raises(StoppedError), Signals() as signals:
        signals.arm()
        for _ in range(4):
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
                heard.append("nothing")
            except KeyboardInterrupt:
                heard.append("interrupted")
    assert heard == ["nothing", "interrupted", "nothing", "nothing"]


@pytest.mark.parametrize(("number", "code"), [(15, 75), (signal.SIGINT, 130)])
def test_a_signal_after_the_end_of_a_run_says_that_all_was_done(number, code) -> None:
    with pytest.raises(StoppedError) as stop, broken_off_by_signals():
        with Signals() as signals:
            signals.arm()
        os.kill(os.getpid(), number)
        time.sleep(60)
    assert str(stop.value).endswith("when all was done")
    assert stop.value.exit_code == code


def test_what_comes_next_can_be_broken_off_again() -> None:
    with pytest.raises(BrokenOffError), broken_off_by_signals():
        with Signals() as signals:
            signals.arm()
        begin_anew()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)


def test_what_has_failed_is_not_all_done() -> None:
    with pytest.raises(BrokenOffError), broken_off_by_signals():
        with pytest.raises(RuntimeError), Signals():
            raise RuntimeError
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
