"""A run goes back from a spike on a disk that refuses as on one that does not."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from slangmod import growing
from slangmod.commands import saving
from slangmod.training import checkpoint, saver
from slangmod.training.guard import Guard
from slangmod.training.trainer import Trainer
from tests.cases import mostly_slow
from tests.reliability.guarded import Lab, bits_of, rows, tripled


@pytest.fixture
def spiked(lab: Lab) -> dict:
    """What a run leaves that goes back from step 22 to step 18, its disk being good."""
    lab.harm = {42: tripled}
    assert lab.train("whole") == 0
    return bits_of(lab.root("whole"))


def test_rows_that_wait_for_room_are_taken_back_too(lab, promise, spiked) -> None:
    """From before step 20 on, which is past the checkpoint that is gone back to."""
    write, take_step, taken = os.write, Trainer.take_step, 0

    def refusing(descriptor: int, content: bytes) -> int:
        file = Path(f"/proc/self/fd/{descriptor}").readlink()
        if 19 < taken < 30 and file.suffix == ".csv":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, content)

    def counted(*args) -> None:
        nonlocal taken
        taken += 1
        take_step(*args)

    with lab.patch.context() as patch:
        patch.setattr("os.write", refusing)
        patch.setattr(Trainer, "take_step", counted)
        assert lab.train("parts") == 0
    assert len(rows(lab.root("parts") / "steps.csv")) == 99
    assert bits_of(lab.root("parts")) == spiked
    promise("R9", 1)


def refused(times: int, function: Callable, only: Callable[..., bool]) -> Callable:
    """``function``, which a disk refuses so many ``times`` where ``only`` says so."""
    left = times

    def one(*args, **words):
        nonlocal left
        if left and only(*args):
            left -= 1
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(args[0]))
        return function(*args, **words)

    return one


def test_a_checkpoint_that_could_not_be_written_is_gone_back_to(
    lab, promise, spiked, capsys
) -> None:
    """As if it had been: it is written when it is needed, and waited for."""
    write = refused(3, saver.write_checkpoint, lambda _, one: one.step == 18)
    lab.patch.setattr(saver, "write_checkpoint", write)
    lab.patch.setattr(saving, "PAUSE", 0.0)
    assert lab.train("parts", "--log_level", "warning") == 0
    assert bits_of(lab.root("parts")) == spiked
    said = capsys.readouterr().err
    assert "read-only file system; no checkpoint this time" in said
    promise("R9", 1)


@pytest.mark.parametrize("what", mostly_slow(["cutting", "removing"], ["removing"]))
def test_a_rewind_waits_for_the_disk(lab, promise, what) -> None:
    """Back from step 18 to step 14, which removes the checkpoint of step 17."""
    lab.harm = {34: tripled}
    assert lab.train("whole") == 0
    part = growing if what == "cutting" else checkpoint
    name = "cut" if what == "cutting" else "remove_folder"
    places = ("steps.csv", "step-000000017")
    harmed = refused(2, getattr(part, name), lambda path, *_: path.name in places)
    lab.patch.setattr(part, name, harmed)
    lab.patch.setattr(saving, "PAUSE", 0.0)
    assert lab.train("parts") == 0
    assert bits_of(lab.root("parts")) == bits_of(lab.root("whole"))
    promise("R9", 1)


def test_a_rewind_that_the_disk_refuses_for_too_long_ends_the_run(lab, capsys) -> None:
    lab.harm = {34: tripled}
    with lab.patch.context() as patch:
        harmed = refused(1, checkpoint.remove_folder, lambda path: "17" in path.name)
        patch.setattr(checkpoint, "remove_folder", harmed)
        assert lab.train("run", "--checkpoint.on_error", "stop") == 1
    said = capsys.readouterr().err
    assert "step-000000017: read-only file system; the run could not go back" in said
    assert lab.resume("run") == 0
    assert lab.outcome("run")["rewinds"] == 1


def test_a_signal_in_the_step_that_spikes_leaves_the_checkpoint_it_names(
    lab, promise, capsys
) -> None:
    compare = Guard._compare

    def signalled(guard: Guard, note, loss) -> None:
        if note.step == 22:
            signal.raise_signal(signal.SIGTERM)
        compare(guard, note, loss)

    lab.harm = {42: tripled}
    with lab.patch.context() as patch:
        patch.setattr(Guard, "_compare", signalled)
        assert lab.train("run") == 75
    newest = max((lab.root("run") / "checkpoints").iterdir())
    assert newest.name == "step-000000018"
    assert "with a checkpoint at step 18;" in capsys.readouterr().err
    assert lab.resume("run") == 0
    promise("R8", 1)
