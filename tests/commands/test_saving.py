"""The end of a run waits for a disk, and a run whose folder vanishes makes it anew."""

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext

import pytest

from slangmod.commands.saving import Ground, Insistence, learnt_from
from slangmod.complaints import Complaints
from slangmod.errors import RunBusyError, RunError
from slangmod.runs.directory import RunDir
from slangmod.runs.recorders import StepsCsv
from slangmod.training.disk import room_at
from slangmod.training.events import StepDone


class Waiting:
    """A disk that is full for so many seconds of its own clock."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds = 0.0, seconds

    def write(self) -> str:
        if self.now < self.seconds:
            raise OSError(errno.ENOSPC, "No space left on device", "model")
        return "written"

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def insistence(run: RunDir, disk: Waiting, gives_up=lambda: False) -> Insistence:
    return Insistence(
        run,
        gives_up,
        Complaints(lambda: disk.now),
        clock=lambda: disk.now,
        sleep=disk.sleep,
    )


@pytest.fixture
def run(tmp_path) -> Iterator[RunDir]:
    run = RunDir.of(tmp_path, "first")
    run.root.mkdir(parents=True)
    run.config.write_text("seed = 1\n")
    with run.lock():
        yield run


def test_the_end_of_a_run_waits_for_room(run, caplog) -> None:
    disk = Waiting(150)
    with caplog.at_level(logging.WARNING):
        assert insistence(run, disk)(disk.write) == "written"
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3  # one a minute
    assert told[0].startswith("model: no space left on device")


@pytest.mark.parametrize("signal", [False, True])
def test_it_does_not_wait_for_ever(run, signal) -> None:
    disk = Waiting(10**6)
    with pytest.raises(RunError, match=r"model: .* `slangmod resume --name first`"):
        insistence(run, disk, lambda: signal)(disk.write)
    assert disk.now == (0 if signal else 600)


class Recording:
    """The one table of a run."""

    def __init__(self, run: RunDir) -> None:
        self.table = StepsCsv(run.steps)
        self.sync = self.table.sync
        self.complaints = Complaints()

    def add(self, step: int) -> None:
        self.table(StepDone(step, 1, step, step, 1.0, 1.0, 1.0, 1.0))


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as held:
        yield held


def test_a_folder_that_vanishes_is_made_again_once(run, held, caplog) -> None:
    recording = Recording(run)
    ground = Ground(run, recording, held)
    recording.add(1)
    assert ground() is None
    header = run.steps.read_text().splitlines()[0]
    shutil.rmtree(run.root)
    recording.add(2)
    assert ground() is None
    assert "made again" in caplog.text
    with pytest.raises(RunBusyError, match="in use by process"), run.lock():
        pass
    recording.add(3)
    assert run.config.read_text() == "seed = 1\n"
    rows = run.steps.read_text().splitlines()
    assert rows[0] == header
    assert [row.split(",")[0] for row in rows[1:]] == ["3"]
    shutil.rmtree(run.root)
    with pytest.raises(RunError, match="removed again"):
        ground()


@pytest.mark.parametrize("which", ["run", "table"])
def test_a_disk_that_does_not_say_what_is_there_refuses(
    run, held, caplog, monkeypatch, which
) -> None:
    recording = Recording(run)
    ground = Ground(run, recording, held)
    recording.add(1)
    silent = run.lock_file if which == "run" else run.steps
    stat = os.stat

    def stale(path, *args, **words):
        if path == silent:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))
        return stat(path, *args, **words)

    with monkeypatch.context() as patch:
        patch.setattr("os.stat", stale)
        assert ground().errno == errno.ESTALE
        assert room_at(silent) is None
    assert "made again" not in caplog.text
    assert ground() is None
    assert len(run.steps.read_text().splitlines()) == 2


@pytest.mark.parametrize("living", [True, False])
def test_a_folder_that_another_run_has_made_anew_is_left_alone(
    run, held, living
) -> None:
    ground = Ground(run, Recording(run), held)
    shutil.rmtree(run.root)
    with run.lock() if living else nullcontext():
        if not living:
            with run.lock():
                run.checkpoints.mkdir()
        with pytest.raises(RunBusyError, match="has been made anew by"):
            ground()
        assert ground.is_taken()
        assert not run.config.exists()


def test_the_end_of_one_run_removes_nothing_of_another(tmp_path) -> None:
    run = RunDir.of(tmp_path, "first")
    with ExitStack() as other:
        with pytest.raises(RunError, match="over"), run.lock():
            shutil.rmtree(run.root)
            other.enter_context(run.lock())
            raise RunError("over")
        with pytest.raises(RunBusyError, match="in use by process"), run.lock():
            pass


def test_a_lock_that_vanishes_alone_is_held_again(run, held) -> None:
    ground = Ground(run, Recording(run), held)
    run.lock_file.unlink()
    assert ground() is None
    with pytest.raises(RunBusyError), run.lock():
        pass
    assert run.config.read_text() == "seed = 1\n"


def test_one_that_cannot_be_made_again_ends_the_run(run, held, tmp_path) -> None:
    ground = Ground(run, Recording(run), held)
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(RunError, match="cannot be made again"):
        ground()


def test_equal_hashes_are_equal_learning(tiny) -> None:
    known = learnt_from(tiny())
    assert learnt_from(tiny(train={"max_epochs": 7}, checkpoint={"keep": 5})) == known
    assert learnt_from(tiny(train={"learning_rate": 0.5})) != known
    assert learnt_from(tiny(seed=1)) != known
