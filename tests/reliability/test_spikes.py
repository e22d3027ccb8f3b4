"""A spike of the loss is told; where that is asked for, training goes back from it."""

import json
import math
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from slangmod.commands import rewinding, stepping
from slangmod.runs.summary import read_summary
from slangmod.training import checkpoint, saver
from slangmod.training.course import Course, Rules
from tests.reliability.guarded import KilledError, Lab, bits_of, rows, tripled

STAGES = """
[[stage]]
epochs = 1

[[stage]]
epochs = 2
train.batch_size = 4
"""

SPIKES = {
    "in the middle of an epoch": {42},
    "right after the first epoch": {34},
    "in the last step": {98},
    "twice in a short time": {44, 47},
    "in two epochs": {42, 80},
}
"""Mini-batches whose loss is three times what it should be."""


def spiked(lab: Lab, which: str) -> dict:
    """What is left of a run with such spikes that nothing interrupts."""
    lab.harm = dict.fromkeys(SPIKES[which], tripled)
    assert lab.train("whole") == 0
    assert lab.outcome("whole")["rewinds"] == len(SPIKES[which])
    return bits_of(lab.root("whole"))


def each_end_resumes(
    lab: Lab, end: Callable[[str, int], None], whole: dict, steps: Iterable[int]
) -> int:
    """End a run after each number of steps, go on with it, compare; -> trials."""
    trials = 0
    for taken in steps:
        shutil.rmtree(lab.root("parts"), ignore_errors=True)
        end("parts", taken)
        assert lab.resume("parts") == 0
        found = bits_of(lab.root("parts"))
        for key in whole | found:
            assert found.get(key) == whole.get(key), (taken, key)
        trials += 1
    return trials


def test_a_run_that_goes_back_can_end_at_some_steps(lab, promise) -> None:
    """Step 22 spikes; back at step 18, four steps are stepped over."""
    whole, few = spiked(lab, "in the middle of an epoch"), each_end_resumes
    trials = few(lab, lab.killed_at, whole, [22])
    promise("R11", trials + few(lab, lab.stopped_at, whole, [24]))


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(
    ("which", "end", "every"),
    [
        ("in the middle of an epoch", "killed_at", 1),
        ("in the middle of an epoch", "stopped_at", 1),
        ("right after the first epoch", "killed_at", 2),
        ("right after the first epoch", "stopped_at", 3),
        ("in the last step", "killed_at", 4),
        ("twice in a short time", "killed_at", 2),
        ("twice in a short time", "stopped_at", 2),
        ("in two epochs", "stopped_at", 3),
    ],
)
def test_a_run_that_goes_back_can_end_at_any_step(
    lab, promise, which, end, every
) -> None:
    whole, ends = spiked(lab, which), getattr(lab, end)
    # A signal in the very last step leaves a checkpoint from before its evaluation.
    steps = range(1, 52 if end == "stopped_at" else 66, every)
    promise("R11", each_end_resumes(lab, ends, whole, steps))


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_run_with_stages_that_goes_back_can_be_killed_at_any_step(
    lab, promise
) -> None:
    path = lab.folder / "config.toml"
    text = path.read_text("utf-8").replace("every = 7", "every = 100")
    path.write_text(text + STAGES, "utf-8")
    # So soon in the second stage that the last checkpoint is of the first.
    lab.harm = {55: tripled}
    assert lab.train("whole") == 0
    (rewind,) = [x for x in lab.incidents("whole") if x["incident"] == "rewind"]
    assert rewind["checkpoint"] == 17
    whole = bits_of(lab.root("whole"))
    steps = range(15, 60)  # the stages meet after 17, the spike comes at 28
    trials = each_end_resumes(lab, lab.killed_at, whole, steps)
    promise("R11", trials)


INSTANTS = [
    (saver, "abandon_after"),
    *((rewinding, name) for name in ("load_anew", "load_checkpoint")),
    *((rewinding, name) for name in ("session_now", "Rewind")),
]
assert all(hasattr(module, name) for module, name in INSTANTS)  # in quick runs, too


@pytest.mark.slow
@pytest.mark.parametrize("which", ["in the middle of an epoch", "in two epochs"])
def test_a_rewind_can_be_killed_at_any_point_of_it(lab, promise, which) -> None:
    whole = spiked(lab, which)
    for module, name in INSTANTS:
        for late in (False, True):
            shutil.rmtree(lab.root("parts"), ignore_errors=True)
            with lab.patch.context() as patch:
                patch.setattr(module, name, killing(getattr(module, name), late))
                assert lab.train("parts") == 1
            assert lab.resume("parts") == 0
            assert bits_of(lab.root("parts")) == whole, (name, late)
    promise("R11", 2 * len(INSTANTS))


def test_a_rewind_can_be_killed_between_the_checkpoints_that_it_removes(
    lab, promise
) -> None:
    """With one that a signal left between the one gone back to and the spike."""
    lab.harm = {42: tripled}
    every = ("--checkpoint.every", "2", "--checkpoint.keep", "9")
    every = (*every, "--train.max_steps", "24")
    assert lab.train("whole", *every) == 0
    whole = bits_of(lab.root("whole"))
    remove, left = checkpoint.remove_folder, 0

    def killed(path: Path) -> None:
        nonlocal left
        remove(path)
        left -= path.name == "step-000000021"
        if left < 0:
            raise KilledError

    with lab.patch.context() as patch:
        patch.setattr(checkpoint, "remove_folder", killed)
        assert lab.train("parts", *every) == 1
    assert lab.resume("parts", *every) == 0
    assert bits_of(lab.root("parts")) == whole
    promise("R11", 1)


def killing(function: Callable, late: bool) -> Callable:
    def one(*args, **known):
        if late:
            function(*args, **known)
        raise KilledError

    return one


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_compiled_run_that_goes_back_resumes_to_the_same_bits(lab, promise) -> None:
    lab.patch.setattr(stepping, "PAYS_AFTER", 0.0)
    path = lab.folder / "config.toml"
    text = path.read_text("utf-8").replace("compile = false", "compile = true")
    path.write_text(text, "utf-8")
    whole = spiked(lab, "in the middle of an epoch")
    compiled = read_summary(lab.root("whole") / "summary.toml")["environment"]
    assert compiled["compiled"] is True
    trials = each_end_resumes(lab, lab.killed_at, whole, (22, 25))
    promise("R11", trials)


def test_what_a_spike_damaged_is_gone_and_its_mini_batches_are_stepped_over(
    lab, promise
) -> None:
    lab.harm = {34: tripled}
    assert lab.train("run") == 0
    spike, rewind = lab.incidents("run")
    assert (spike["incident"], spike["step"], spike["batch"]) == ("spike", 18, 35)
    assert spike["loss"] > spike["limit"] > spike["mean"]
    # The checkpoint of step 17, which ends the epoch, is the one whose loss spiked.
    assert (rewind["checkpoint"], rewind["first_batch"], rewind["batch"]) == (
        14,
        28,
        35,
    )
    table = {row[2]: row for row in rows(lab.root("run") / "steps.csv")}
    assert [batch for batch, row in table.items() if not row[4]] == [
        str(batch) for batch in range(29, 36)
    ]
    assert len(table) == len(rows(lab.root("run") / "steps.csv")) == 99
    outcome = lab.outcome("run")
    assert (outcome["spikes"], outcome["rewinds"], outcome["steps"]) == (1, 1, 51)
    # An evaluation in the window is of the weights that were gone back to.
    epochs = rows(lab.root("run") / "epochs.csv")
    assert [row[:2] for row in epochs] == [("1", "17"), ("2", "34"), ("3", "51")]
    promise("R11", 1)


def test_the_weights_after_a_rewind_are_those_gone_back_to(lab) -> None:
    lab.harm = {42: tripled}
    assert lab.train("spiked", "--train.max_steps", "22") == 0
    lab.harm = {}
    assert lab.train("plain", "--train.max_steps", "18") == 0
    (rewind,) = (x for x in lab.incidents("spiked") if x["incident"] == "rewind")
    assert (rewind["checkpoint"], rewind["step"]) == (18, 22)
    files = [
        max((lab.root(name) / "checkpoints").glob("step-*"))
        for name in ("spiked", "plain")
    ]
    assert [path.name[-2:] for path in files] == ["22", "18"]
    for name in ("model", "optimizer", "average"):
        one, other = (load_file(path / f"{name}.safetensors") for path in files)
        assert one.keys() == other.keys()
        assert all((one[key] == other[key]).all() for key in one), name


def test_a_run_goes_back_only_so_often(lab, capsys) -> None:
    lab.harm = {42: tripled, 60: tripled}
    assert lab.train("run", "--guard.max_rewinds", "1") == 1
    assert (
        "the loss spikes again after guard.max_rewinds = 1" in capsys.readouterr().err
    )
    assert lab.outcome("run")["reason"] == "failed"
    # What it may do is one of the settings that resume may change.
    assert lab.resume("run", "--guard.max_rewinds", "2") == 0
    assert lab.outcome("run")["rewinds"] == 2


def test_with_no_sound_checkpoint_to_go_back_to_a_run_fails(lab, capsys) -> None:
    lab.patch.setattr(rewinding, "problems_of", lambda path: [f"{path.name}: torn"])
    lab.harm = {42: tripled}
    assert lab.train("run") == 1
    assert (
        "no checkpoint to go back to: step-000000018: torn" in capsys.readouterr().err
    )


def test_a_spike_is_only_told_where_nothing_else_is_asked_for(lab, capsys) -> None:
    lab.harm = {42: tripled}
    few = ("--train.max_steps", "24")
    told = ("--guard.on_spike", "report", "--log_level", "info")
    assert lab.train("told", *few, *told) == 0
    assert capsys.readouterr().err.count("is a spike") == 1
    assert lab.outcome("told")["spikes"] == 1
    assert "rewinds" not in lab.outcome("told")
    assert lab.train("quiet", *few, "--guard.on_spike", "ignore") == 0
    assert lab.incidents("quiet") == []
    same = "steps.csv", "epochs.csv"
    for name in same:
        assert rows(lab.root("told") / name) == rows(lab.root("quiet") / name)


def series(chance: random.Random, length: int, noise: float) -> list[float]:
    """Losses of a clean run: they fall like a power, and scatter, heavier above."""
    return [
        2
        + 6 / (1 + step / 40)
        + noise * (chance.gauss(0, 1) + 0.3 * chance.expovariate(1))
        for step in range(length)
    ]


def alarms(losses: Iterable[float], window: int = 128) -> list[int]:
    course, rules = Course(), Rules(window=window)
    return [n for n, loss in enumerate(losses) if course.enter(loss, rules) is not None]


NOISES = (0.0, 0.01, 0.05, 0.1, 0.2)


@pytest.mark.parametrize("noise", NOISES)
def test_clean_losses_give_no_alarm_and_each_spike_gives_one(promise, noise) -> None:
    chance = random.Random(7)
    for trial in range(20):
        losses = series(chance, 600, noise)
        assert alarms(losses) == []
        place = chance.randrange(256, 600)
        losses[place] *= 2
        assert alarms(losses) == [place], trial
    promise("R11", 40)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("seed", range(1, 11))
def test_clean_runs_give_no_alarm(lab, promise, seed) -> None:
    few = ("--train.max_epochs", "12", "--guard.spike_window", "128")
    assert lab.train("clean", "--seed", str(seed), *few) == 0
    assert lab.incidents("clean") == []
    promise("R11", 1)


def test_a_level_that_rises_for_good_is_one_alarm() -> None:
    losses = [2.0] * 20 + [4.0] * 60 + [9.0] * 3
    assert alarms(losses, window=16) == [20, 80]


def test_spikes_do_not_raise_what_later_ones_are_held_against() -> None:
    chance = random.Random(3)
    losses = [2 + 0.05 * chance.gauss(0, 1) for _ in range(400)]
    places = [150, 160, 170, 300]
    for place in places:
        losses[place] = 3.0
    assert alarms(losses) == places


def test_a_course_survives_json() -> None:
    course, rules = Course(), Rules(window=8)
    for loss in [2.0] * 9 + [math.pi]:
        course.enter(loss, rules)
    course.take_refuge(4, 2)
    assert Course.of(json.loads(json.dumps(course.plain()))) == course


def test_a_checkpoint_whose_own_loss_spiked_is_no_refuge() -> None:
    course = Course()
    course.take_refuge(5, 5)
    course.take_refuge(9, 5)
    assert [one.step for one in course.refuges_before(11)] == [9, 5]
    assert [one.step for one in course.refuges_before(10)] == [5]
