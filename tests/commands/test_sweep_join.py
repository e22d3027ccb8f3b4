"""Several workers on one sweep, each a process of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import tomli

from slangmod import cli
from slangmod.commands.neighbours import GONE, Neighbours
from slangmod.commands.sweeping import Course
from slangmod.commands.trials import Running
from slangmod.search.dimensions import Interval
from slangmod.search.storage import open_storage, turn_on
from slangmod.search.study import COMPLETE, RUNNING, open_study
from slangmod.settings.sections import Settings
from tests.commands.test_sweep import (  # noqa: F401 (fixtures)
    HERE,
    begun,
    encoded_bytes,
    work,
)

SPACE = {"model.dropout": Interval(0.0, 0.5)}
ABOUT = {"space": {}, "direction": "minimize", "metric": "test_loss", "settings": {}}
GRID = (
    *("--sweep.sampler", "grid", "--sweep.n_trials", "12"),
    *("--train.learning_rate", "choice(1.0, 0.3, 0.1, 0.03, 0.01, 0.003)"),
    *("--train.batch_size", "choice(32, 64)"),
)


def opened(folder, address=None):
    storage = open_storage(address, folder)
    turn = turn_on(address, folder, storage)
    return open_study(storage, "s", SPACE, ABOUT, turn=turn)


def asked(study, home):
    return study.ask(lambda _: {"model.dropout": 0.25}, 1, 5, home)


@pytest.fixture(params=["journal", pytest.param("sqlite", marks=pytest.mark.slow)])
def address(request, tmp_path):
    return None if request.param == "journal" else f"sqlite:///{tmp_path}/study.db"


def test_a_trial_of_a_dead_worker_goes_to_one_other(tmp_path, address):
    study, times = opened(tmp_path, address), [0.0]
    record = asked(study, "dead")
    mine, other = (
        Neighbours(opened(tmp_path, address), home, lambda: times[0])
        for home in ("mine", "other")
    )
    dead = Neighbours(study, "dead", lambda: times[0])
    for _ in range(10):
        dead.beat()
        assert mine.orphan() is None
        assert other.orphan() is None
        times[0] += 20
    times[0] += 59
    taken = mine.orphan()
    assert taken is not None
    assert (taken.number, taken.home) == (record.number, "mine")
    assert other.orphan() is None
    assert study.records()[0].home == "mine"
    assert not study.is_at_work(record)
    assert study.is_at_work(taken)


def test_what_a_worker_leaves_is_taken_over_at_once(tmp_path, address):
    study = opened(tmp_path, address)
    asked(study, "first")
    first = Neighbours(study, "first", lambda: 0.0)
    first.beat()
    second = Neighbours(opened(tmp_path, address), "second", lambda: 0.0)
    assert second.orphan() is None
    first.leave()
    assert study.counts() == {"first": GONE}
    third = Neighbours(opened(tmp_path, address), "third", lambda: 0.0)
    taken = third.orphan()
    assert taken is not None
    assert taken.home == "third"


class FakeLauncher:
    """Has a run for each trial, which others may be at work on; starts nothing."""

    def __init__(self):
        self.busy = True
        settings = Settings().replace(**{"sweep.n_trials": 1, "sweep.workers": 1})
        trial = SimpleNamespace(in_use=lambda: self.busy)
        self.plan = SimpleNamespace(
            settings=settings, total=1, space=SPACE, trial=lambda _: trial
        )


@pytest.fixture
def course(tmp_path):
    """The course of a second worker, with a trial that a dead one has begun."""
    study = opened(tmp_path)
    asked(study, "dead")
    study.count_for("dead", GONE)
    ours = opened(tmp_path)
    return Course(ours, FakeLauncher(), "mine", lambda: False, lambda *_: None)


def test_a_trial_of_a_dead_worker_that_is_still_at_work_is_waited_for(course):
    assert course.left_behind() is None
    assert course.broken_off() is None
    assert [record.number for record in course.waiting] == [0]
    course.launcher.busy = False
    taken = course.broken_off()
    assert (taken.number, taken.home) == (0, "mine")


def test_a_trial_whose_old_process_ends_well_meanwhile_is_not_begun_again(course):
    assert course.left_behind() is None
    course.study.tell(0, COMPLETE, value=2.0)
    course.launcher.busy = False
    assert course.broken_off() is None
    assert course.study.records()[0].value == 2.0


def test_a_trial_that_another_process_has_is_not_one_that_failed(course, tmp_path):
    run = SimpleNamespace(summary=tmp_path / "summary.toml")
    record = course.study.records()[0]
    process = SimpleNamespace(last_words=str)
    trial = Running(record, run, Settings(), process, 0, None)
    course.ended(trial, 3)
    assert course.study.records()[0].state == RUNNING
    assert [one.number for one in course.waiting] == [0]


def test_a_worker_gives_signs_of_life_while_its_trials_save(course):
    beats = []
    course.neighbours.beat = lambda: beats.append(1)
    left = iter(range(5))
    process = SimpleNamespace(stop=lambda: None)
    course.running = [SimpleNamespace(process=process)]

    def look():
        if next(left) == 3:
            course.running.clear()

    course.look = look
    course.stop()
    assert len(beats) == 4


def test_what_has_ended_is_told_once(tmp_path):
    study = opened(tmp_path)
    record = asked(study, "first")
    study.tell(record.number, COMPLETE, value=1.0)
    study.tell(record.number, COMPLETE, value=2.0)
    assert study.records()[0].value == 1.0
    assert not study.take_over(record, "second")


def test_of_two_workers_one_waits_for_the_other(tmp_path, address):
    one, other = opened(tmp_path, address), opened(tmp_path, address)
    order: list[str] = []

    def second() -> None:
        with other.turn():
            order.append("second")

    with one.turn():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def worker(*words, environment=None, seconds=0.05):
    """A worker on the sweep "s"."""
    slow = ("--extra.ticks", "8", "--extra.seconds", str(seconds))
    program = (sys.executable, str(HERE / "sweep_driver.py"))
    place = ("--toml", "config.toml", "--name", "s")
    return subprocess.Popen(
        [*program, "sweep", *place, *slow, *GRID, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        text=True,
    )


def trials():
    return tomli.loads(Path("runs/s/sweep.toml").read_text())["trial"]


def under_way():
    """How many trials have begun and not ended."""
    folders = [path.parent for path in Path("runs/s").glob("trial-*/ticks.txt")]
    return sum(not (folder / "summary.toml").exists() for folder in folders)


def all_once():
    """Whether each combination has been tried once, step by step, to its end."""
    found = trials()
    combinations = {json.dumps(one["parameters"], sort_keys=True) for one in found}
    assert len(found) == len(combinations) == 12
    assert {one["state"] for one in found} == {"complete"}
    for number in range(12):
        folder = Path(f"runs/s/trial-{number:03d}")
        ticks = (folder / "ticks.txt").read_text().split()
        assert ticks == [str(one) for one in range(1, 9)]
        assert not (folder / "twice.txt").exists()
    best = tomli.loads(Path("runs/s/best.toml").read_text())
    assert best["train"]["learning_rate"] == 0.01


def test_there_has_to_be_a_sweep_to_help_with(work, capsys):  # noqa: F811
    place = ("sweep", "--toml", "config.toml", "--join")
    assert cli.main([*place, "--name", "s"]) == 2
    assert "no sweep to help with" in capsys.readouterr().err
    assert cli.main([*place]) == 2
    assert "add --name" in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["", "sqlite:///study.db"])
def test_three_workers_try_everything_once(work, storage):  # noqa: F811
    words = ("--sweep.storage", storage) if storage else ()
    first = worker(*words)
    begun()
    others = [worker("--join", *words) for _ in range(2)]
    for process in (first, *others):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert "nothing is left to begin" in errors
    all_once()
    logged = Path("runs/s/sweep.log").read_text()
    assert logged.count("trial") < 3 * 12  # others have trained some of them


@pytest.mark.slow
def test_what_a_killed_worker_had_begun_is_carried_on_by_others(work):  # noqa: F811
    first = worker(seconds=0.3)
    begun()
    helper = worker("--join", seconds=0.3)
    while under_way() < 2:
        time.sleep(0.01)
    helper.send_signal(signal.SIGKILL)
    helper.communicate()
    _, errors = first.communicate(timeout=120)
    assert first.returncode == 0, errors
    assert "was left by its worker; it goes on" in errors
    all_once()


@pytest.mark.slow
def test_where_the_first_is_killed_the_same_command_concludes(work):  # noqa: F811
    first = worker()
    begun()
    helper = worker("--join")
    time.sleep(2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    _, errors = helper.communicate(timeout=120)
    assert helper.returncode == 0, errors
    again = worker()
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    all_once()


@pytest.mark.slow
def test_workers_that_srun_has_started_share_a_sweep(work):  # noqa: F811
    places = [
        {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "3", "SLURM_PROCID": str(rank)}
        for rank in range(3)
    ]
    workers = [worker(environment=place) for place in places]
    for process in workers:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    all_once()
