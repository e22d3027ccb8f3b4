"""A run folder has one writer, and a lock is never stale."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from slangmod.errors import RunBusyError, RunError
from slangmod.locks import holder_file
from slangmod.runs.directory import RunDir
from tests.reliability.forks import ENVIRONMENT, Forks
from tests.reliability.small_work import BEHIND, make_folder

PROGRAM = (sys.executable, "-m", "slangmod")
TRAIN = ("train", "--toml", "config.toml")

RACE = """
import os, sys
from slangmod import locks
from slangmod.errors import RunBusyError
from slangmod.runs.directory import RunDir

locks.PAUSE = 0.003
run = RunDir.of(sys.argv[1], "first")

def take(start, told, go_on):
    os.read(start, 1)
    try:
        with run.lock():
            os.write(told, b"w")
            os.read(go_on, 1)
    except RunBusyError as error:
        os.write(told, b"l" if "process" in str(error) else b"?")

wins = 0
for _ in range(int(sys.argv[2])):
    start, told, go_on = os.pipe(), os.pipe(), os.pipe()
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            take(start[0], told[1], go_on[0])
            os._exit(0)
        children.append(child)
    os.write(start[1], b"12")
    both = os.read(told[0], 1) + os.read(told[0], 1)
    os.write(go_on[1], b"1")
    for child in children:
        os.waitpid(child, 0)
    for pipe in (*start, *told, *go_on):
        os.close(pipe)
    wins += sorted(both) == sorted(b"wl")
print(wins)
"""
"""Pairs of processes that want the same run; how often one of each pair got it."""


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *words],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def begun(folder: Path) -> RunDir:
    """A run that has a checkpoint, as far as its names tell."""
    run = RunDir.of(folder, "first")
    (run.checkpoints / "step-000000000").mkdir(parents=True)
    run.config.write_text(BEHIND, "utf-8")
    return run


def test_of_two_that_start_at_once_one_has_the_run(tmp_path, promise) -> None:
    rounds = 50
    done = subprocess.run(
        [sys.executable, "-c", RACE, str(tmp_path), str(rounds)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == rounds
    promise("R12", rounds)


@pytest.mark.parametrize(
    "words",
    [
        ("resume",),
        pytest.param((*TRAIN, "--name", "first"), marks=pytest.mark.slow),
        pytest.param(("resume", "--name", "first"), marks=pytest.mark.slow),
        pytest.param(
            ("tokenize", "encode", *TRAIN, "--name", "first", "--overwrite"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_second_writer_is_turned_away_at_once(tmp_path, promise, words) -> None:
    (tmp_path / "config.toml").write_text(BEHIND, "utf-8")
    run = begun(tmp_path)
    with run.lock():
        before = cpu_seconds()
        ended = command(tmp_path, *words)
        used = cpu_seconds() - before
        holder = f"process {os.getpid()} on {os.uname().nodename}"
    assert ended.returncode == 3
    assert re.fullmatch(
        re.escape(f"slangmod: error: run 'first' is in use by {holder} since ")
        + r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\n",
        ended.stderr,
    )
    assert used < 3
    promise("R12", 1)


def test_what_a_crash_left_behind_holds_nobody_up(tmp_path, promise) -> None:
    run = begun(tmp_path)
    run.lock_file.write_text("")
    holder_file(run.lock_file).write_text("process 1 on a machine that crashed\n")
    assert not run.in_use()
    with run.lock():
        pass
    promise("R12", 1)


def test_a_moment_s_look_at_a_lock_turns_nobody_away(tmp_path, promise) -> None:
    run = begun(tmp_path)
    looker = (
        "import fcntl, os, sys, time\n"
        "one = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
        "fcntl.flock(one, fcntl.LOCK_SH)\n"
        "print(flush=True)\n"
        "time.sleep(0.15)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", looker, str(run.lock_file)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        with run.lock():
            pass
    promise("R12", 1)


def test_where_there_are_no_locks_nothing_is_written(
    tmp_path, monkeypatch, promise
) -> None:
    def refuses(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("slangmod.locks.fcntl.flock", refuses)
    run = RunDir.of(tmp_path, "first")
    with pytest.raises(RunError, match="has no locks"), run.lock():
        pass
    assert not run.root.exists()
    promise("R12", 1)


def test_a_folder_that_vanished_while_it_was_waited_for_is_not_taken(
    tmp_path, monkeypatch, promise
) -> None:
    run = begun(tmp_path)

    def removed(*_: object) -> None:
        shutil.rmtree(run.root)

    monkeypatch.setattr("slangmod.locks.fcntl.flock", removed)
    with pytest.raises(RunBusyError), run.lock():
        pass
    promise("R12", 1)


@pytest.mark.slow
def test_a_run_whose_folder_another_has_taken_leaves_it_alone(
    tmp_path, promise
) -> None:
    folder, forks = make_folder(tmp_path / "work"), Forks()
    forks.done(folder, "clean", "tokenize", "encode", "--toml", "config.toml")
    lines = (
        "import os, shutil, slangmod.training.trainer as trainer",
        "steps, clip = [], trainer.clip_gradients",
        "def replaced(*args):",
        "    steps.append(1)",
        "    if len(steps) == 15:",
        "        shutil.rmtree('runs/first')",
        "        os.mkdir('runs/first')",
        "        open('runs/first/run.lock', 'w').close()",
        "    return clip(*args)",
        "trainer.clip_gradients = replaced",
    )
    ended = forks.run(folder, *TRAIN, "--name", "first", before=lines)
    forks.close()
    assert ended.code == 3
    assert "runs/first: was removed while the run was at work" in ended.errors
    assert [path.name for path in (folder / "runs/first").iterdir()] == ["run.lock"]
    promise("R12", 1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_of_two_commands_at_once_one_trains(tmp_path, promise) -> None:
    folder, forks = make_folder(tmp_path / "work"), Forks()
    forks.done(folder, "clean", "tokenize", "encode", "--toml", "config.toml")
    forks.close()
    rounds = 3
    for number in range(rounds):
        both = [
            subprocess.Popen(
                [*PROGRAM, *TRAIN, "--name", f"run-{number}", *long],
                cwd=folder,
                env=ENVIRONMENT,
                stderr=subprocess.PIPE,
                text=True,
            )
            for long in (("--train.max_epochs", "20"), ("--train.max_epochs", "21"))
        ]
        errors = [process.communicate(timeout=240)[1] for process in both]
        codes = [process.returncode for process in both]
        assert sorted(codes) == [0, 3], errors
        assert "in use by process" in errors[codes.index(3)]
    promise("R12", rounds)


@pytest.mark.slow
def test_a_killed_run_can_be_gone_on_with_at_once(tmp_path, promise) -> None:
    folder, forks = make_folder(tmp_path / "work"), Forks()
    forks.done(folder, "clean", "tokenize", "encode", "--toml", "config.toml")
    trials = 10

    def kill(pid: int) -> None:
        rows = folder / "runs/first/epochs.csv"
        deadline = time.monotonic() + 60
        while not (rows.is_file() and rows.read_bytes().count(b"\n") > 1):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)

    for _ in range(trials):
        long = (*TRAIN, "--name", "first", "--train.max_epochs", "999")
        ended = forks.run(folder, *long, disturb=kill)
        assert ended.code == -signal.SIGKILL
        assert holder_file(RunDir.of(folder, "first").lock_file).exists()
        forks.done(folder, "resume", "--name", "first", "--train.max_epochs", "1")
        shutil.rmtree(folder / "runs/first")
    forks.close()
    promise("R12", trials)
