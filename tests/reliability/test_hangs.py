"""A step that hangs is told with where it stands; a machine asleep does not hang."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import tomli

from slangmod.commands import lookout, saving, scribe, watchdog
from slangmod.commands.bystander import Bystander
from slangmod.commands.conduct import Conductor
from slangmod.commands.watchdog import GENEROUS, Watchdog
from slangmod.parallel.team import Team
from slangmod.runs.directory import RunDir
from slangmod.settings.surviving import Guard
from slangmod.training.events import Progress
from tests.reliability.forks import Forks
from tests.reliability.small_work import make_folder

TRAIN = ("train", "--toml", "config.toml", "--name", "run", "--guard.hang_time", "1s")
HANGING = {
    "a step": ("slangmod.training.trainer", "clip_gradients", 15),
    "the data": ("slangmod.training.feed.Feed", "_prepare", 15),
    "an evaluation": ("slangmod.training.evaluate", "cross_entropy_sum", 3),
    "a checkpoint": ("slangmod.training.checkpoint", "manifest_of", 2),
    "the first step": ("slangmod.training.trainer", "clip_gradients", 1),
    "starting": ("slangmod.commands.train", "choose_step", 1),
}
"""What hangs, where that is, and in which call of it."""


def hanging(what: str) -> tuple[str, ...]:
    """Lines by which a process hangs there."""
    place, name, call = HANGING[what]
    module = place.removesuffix(".Feed")
    return (
        "import importlib, time",
        f"place, calls = importlib.import_module({module!r}), []",
        *(["place = place.Feed"] if place.endswith(".Feed") else []),
        f"whole = place.{name}",
        "def slow(*args, **named):",
        "    calls.append(1)",
        f"    if len(calls) == {call}:",
        "        time.sleep(1000)",
        "    return whole(*args, **named)",
        f"place.{name} = slow",
        # What has more time is not to take it here.
        "import slangmod.commands.watchdog as watchdog",
        "watchdog.GENEROUS = 2",
    )


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    server = Forks()
    yield server
    server.close()


@pytest.fixture(scope="module")
def work(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_folder(tmp_path_factory.mktemp("hangs") / "work")
    forks.done(folder, "clean", "tokenize", "encode", "--toml", "config.toml")
    return folder


def remove(run: Path) -> None:
    for root, _, names in run.walk(top_down=False):
        for name in names:
            (root / name).unlink()
        root.rmdir()


@pytest.mark.slow
@pytest.mark.parametrize("what", HANGING)
def test_a_run_that_hangs_is_ended_and_goes_on(forks, work, promise, what) -> None:
    run = work / "runs" / "run"
    remove(run)
    ended = forks.run(work, *TRAIN, before=hanging(what))
    assert ended.code == 1
    (told,) = [line for line in ended.errors.splitlines() if "it hangs" in line]
    (file,) = run.glob("hang-*.txt")
    assert file.name in told
    place = "_prepare" if what == "the data" else "slow"
    stacks = file.read_text("utf-8")
    assert "thread MainThread:" in stacks
    assert f"in {place}" in stacks or "in slow" in stacks
    if what != "starting":
        assert "it hangs" in (run / "train.log").read_text("utf-8")
        summary = tomli.loads((run / "summary.toml").read_text("utf-8"))
        assert summary["outcome"]["reason"] == "failed"
        assert "it hangs" in summary["outcome"]["message"]
        forks.done(work, "resume", "--name", "run")
    assert not RunDir(run).in_use()
    promise("R16", 1)


@pytest.mark.slow
def test_a_library_that_hangs_and_keeps_python_is_noticed_too(
    forks, work, promise
) -> None:
    run = work / "runs" / "run"
    remove(run)
    lines = [
        "import ctypes",
        *(line.replace("time.sleep", "C.sleep") for line in hanging("the data")),
    ]
    lines.insert(1, "C = ctypes.PyDLL(None)")
    ended = forks.run(work, *TRAIN, before=lines)
    assert ended.code == -signal.SIGKILL
    (told,) = [line for line in ended.errors.splitlines() if "it hangs" in line]
    (file,) = run.glob("hang-*.txt")
    assert f"runs/run/{file.name}" in told
    stacks = file.read_text("utf-8")
    assert stacks.startswith(told.removeprefix("slangmod: error: ") + "\n\nThread ")
    assert "in slow" in stacks
    forks.done(work, "resume", "--name", "run")
    promise("R16", 1)


@pytest.mark.slow
def test_where_it_is_only_reported_the_run_goes_on(forks, work, promise) -> None:
    run = work / "runs" / "run"
    remove(run)
    lines = [line.replace("sleep(1000)", "sleep(1.5)") for line in hanging("a step")]
    report = ("--guard.on_hang", "report", "--guard.hang_time", "0.5s")
    ended = forks.run(work, *TRAIN, *report, before=lines)
    assert ended.code == 0
    assert ended.errors.count("it hangs") == 1
    assert [*run.glob("hang-*.txt")]
    promise("R16", 1)


@pytest.mark.slow
def test_a_process_that_was_stopped_does_not_hang(forks, work, promise) -> None:
    run = work / "runs" / "run"

    def stop_for_a_while(pid: int) -> None:
        rows = run / "epochs.csv"
        while not (rows.is_file() and rows.read_bytes().count(b"\n") > 2):
            time.sleep(0.01)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(2.5)
            os.kill(pid, signal.SIGCONT)

    trials = 10
    for _ in range(trials):
        remove(run)
        more = ("--train.max_epochs", "8", "--guard.hang_time", "1s")
        ended = forks.run(work, *TRAIN, *more, disturb=stop_for_a_while)
        assert ended.code == 0, ended
        assert "hangs" not in ended.errors
    promise("R16", trials)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def watched(
    folder: Path, hang_time: str, clock: Callable[[], float] = time.monotonic
) -> tuple[Watchdog, list[int]]:
    """A watchdog that notes with which code it would end the process."""
    run = RunDir.of(folder, "run")
    run.root.mkdir(parents=True, exist_ok=True)
    codes: list[int] = []
    guard = Guard(hang_time=hang_time)
    return Watchdog(run, guard, clock, codes.append), codes


def wait_for(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_hang_is_noticed_ten_times_of_ten(tmp_path, promise) -> None:
    for trial in range(10):
        dog, codes = watched(tmp_path, "0.02s")
        said: list[str] = []
        dog.step, dog.sum_up = (lambda step=trial: step), said.append
        with dog:
            dog(Progress(1, 2, 3, 0.0))
            wait_for(codes.__len__)
        assert codes == [1]
        assert f"after step {trial}" in said[0]
        text = (tmp_path / f"runs/run/hang-{trial:09d}.txt").read_text("utf-8")
        assert "test_a_hang_is_noticed_ten_times_of_ten" in text
    promise("R16", 10)


def test_what_goes_on_is_no_hang_however_long_it_takes(tmp_path, promise) -> None:
    dog, codes = watched(tmp_path, "0.2s")
    with dog:
        dog(Progress(1, 2, 3, 0.0))
        for _ in range(60):
            time.sleep(0.01)
            dog.alive()
    assert codes == []
    promise("R16", 1)


def test_a_machine_that_was_asleep_does_not_hang(tmp_path, promise) -> None:
    asleep = [0.0]
    dog, codes = watched(tmp_path, "2s", lambda: time.monotonic() + sum(asleep))
    with dog:
        dog(Progress(1, 2, 3, 0.0))
        for _ in range(3):
            asleep.append(3600.0)
            time.sleep(0.15)
    assert codes == []
    promise("R16", 3)


def test_a_limit_is_ten_usual_steps_and_what_is_slow_has_longer(tmp_path) -> None:
    clock = Clock()
    dog, _ = watched(tmp_path, "1s", clock)
    assert dog.limit(1.0) == GENEROUS  # nothing is known of steps yet
    for seconds in (0.5, 0.5, 90.0, 0.5):
        dog(Progress(1, 2, 3, 0.0))
        clock.now += seconds
    dog(Progress(1, 2, 3, 0.0))
    assert dog.limit(1.0) == 5.0
    assert dog.limit(7.0) == 7.0
    with dog.slow("saving a checkpoint"):
        assert dog.limit(7.0) == 7.0 * GENEROUS
    assert dog.limit(7.0) == 7.0


BESIDE = """
import ctypes, os, sys, time
from pathlib import Path
from slangmod.commands.lookout import Lookout
beside, kind = Lookout(), sys.argv[1]
beside.begin()
for _ in range(1 if kind == "hangs" else 100):
    beside.put_off(1.0, Path("hang.txt"), "it hangs", ends=True)
    if kind == "hangs":
        ctypes.PyDLL(None).read(os.pipe()[0], b" ", 1)
    print(_, flush=True)
    time.sleep(0.01)
beside.end()
"""


def beside(folder: Path, kind: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", BESIDE, kind],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_python_that_stands_still_is_noticed_from_outside(tmp_path, promise) -> None:
    process = beside(tmp_path, "hangs")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert errors == b"slangmod: error: it hangs\n"
    message, nothing, first, where, *_ = (tmp_path / "hang.txt").read_text().split("\n")
    assert (message, nothing) == ("it hangs", "")
    assert first.startswith("Current thread 0x")
    assert where == '  File "<string>", line 10 in <module>'
    promise("R16", 1)


@pytest.mark.slow
def test_from_outside_a_process_that_was_stopped_does_not_hang(tmp_path) -> None:
    process = beside(tmp_path, "runs")
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    time.sleep(2.5)
    process.send_signal(signal.SIGCONT)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
    assert out.endswith(b"99\n")
    assert [*tmp_path.iterdir()] == []


def test_what_is_only_to_be_reported_is_not_ended(tmp_path, capfd) -> None:
    file = tmp_path / "hang.txt"
    about = {"file": str(file), "message": "no", "ends": False}
    lookout.act(about, "Thread 1\n", os.getppid())
    assert file.read_text() == "no\n\nThread 1\n"
    assert capfd.readouterr().err == "slangmod: error: no\n"


def until(there: Callable[[], object]) -> None:
    """Wait for what a thread does."""
    while not there():
        time.sleep(0.01)


def test_for_a_run_that_is_over_at_once_nobody_looks(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(watchdog, "SOON", 60.0)
    dog, _ = watched(tmp_path, "1000s")
    with dog:
        dog(Progress(1, 2, 3, 0.0))
    assert dog._lookout._other is None


def test_where_no_process_can_be_started_it_is_said(
    tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    before = [*Path("/proc/self/fd").iterdir()]
    dog, codes = watched(tmp_path, "0.5s")
    with dog:
        dog(Progress(1, 2, 3, 0.0))
        until(lambda: caplog.text)
    assert codes == []
    assert "no process can be started (No such file or directory)" in caplog.text
    assert len([*Path("/proc/self/fd").iterdir()]) == len(before)


def test_nothing_is_left_of_who_looks_from_outside(tmp_path) -> None:
    before = [*Path("/proc/self/fd").iterdir()]
    dog, _ = watched(tmp_path, "0.5s")
    with dog:
        until(lambda: dog._lookout._other)
        process = dog._lookout._other
        assert process.poll() is None
    assert process.returncode is not None
    assert len([*Path("/proc/self/fd").iterdir()]) == len(before)
    assert [*(tmp_path / "runs/run").iterdir()] == []


@dataclass(frozen=True)
class Late(Team):
    """A team whose others come late; what the dog is told meanwhile is noted."""

    dog: Watchdog | None = None
    noted: list[str] = field(default_factory=list)

    def meet(self) -> None:
        self.noted.append(self.dog._slow)


@pytest.mark.parametrize("act", ["save", "validate"])
def test_who_waits_for_others_has_as_much_time_as_they(tmp_path, promise, act) -> None:
    dog, _ = watched(tmp_path, "1s")
    dog(Progress(1, 2, 3, 0.0))
    team = Late(rank=1, size=2, dog=dog)
    session = SimpleNamespace(team=team, settings=None, state=None)
    one = SimpleNamespace(session=session, watchdog=dog, scribe=Bystander())
    with suppress(AttributeError):  # beyond the meeting nothing is there
        getattr(Conductor, act)(one, SimpleNamespace())
    assert len(team.noted) == 1
    assert team.noted[0]
    assert dog._slow == ""
    promise("R16", 1)


def test_where_it_is_unset_nobody_watches(tmp_path) -> None:
    before = threading.active_count()
    with Watchdog(RunDir.of(tmp_path, "run"), Guard(hang_time=None)):
        assert threading.active_count() == before


def test_a_run_that_waits_for_the_disk_at_its_end_does_not_hang(lab, promise) -> None:
    """Each try counts as something done, and has more time than a step."""
    alive, save, noted, seen = Watchdog.alive, scribe.save_model, [], []

    def note(watchdog: Watchdog) -> None:
        noted.append(watchdog._slow)
        alive(watchdog)

    def refuses(*args: object) -> None:
        seen.append((len(noted), noted[-1]))
        if len(seen) < 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "model")
        save(*args)

    lab.patch.setattr(Watchdog, "alive", note)
    lab.patch.setattr(scribe, "save_model", refuses)
    lab.patch.setattr(saving, "PAUSE", 0.0)
    assert lab.train("run", "--train.max_steps", "3") == 0
    first = seen[0][0]
    assert seen == [(first + n, "writing the end") for n in range(4)]
    promise("R16", 3)
