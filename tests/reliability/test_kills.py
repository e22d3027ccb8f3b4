"""A run that is killed, wherever and however often, ends as if it never had been."""

import csv
import json
import random
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tomli

from slangmod.training.checkpoint import list_checkpoints
from tests.cases import mostly_slow
from tests.reliability.bits import differences
from tests.reliability.workshop import CONFIGS, Workshop, train

SEED = 20261121
"""From which all instants of kills are drawn."""

AT_MOST_LOST = dict.fromkeys(CONFIGS, 4 + 3) | {"adafactor": 2 * (4 + 1)}
"""Mini-batches: ``checkpoint.every``, and the step that contains the last of them.
Twice that where one may be on its way in the background when the next is due."""


def kill_at_random(
    workshop: Workshop, config: str, kills: int, seconds: float, part: str = "all"
) -> None:
    """So many SIGKILLs, up to nine on each run before it is carried to its end.

    They come at any time of the ``seconds`` that a run takes.
    """
    chance = random.Random(f"{SEED} {config} {kills} {part}")
    left = kills
    while left:
        name = workshop.new("killed")
        for _ in range(chance.randint(1, min(9, left))):
            words = workshop.onwards(config, name)
            if words[0] == "train" and chance.random() < 0.5:
                words = (*words, "--continue")
            instant = chance.uniform(0.0, 1.05 * seconds)
            ended = workshop.tries(*words, kill_after=instant)
            told = f"{SEED} {config}: {words} for {instant:.6f} s -> {ended.code}"
            sys.stdout.write(told + "\n")  # which is shown where the test fails
            if ended.code == 0:
                break
            assert ended.code == -signal.SIGKILL, ended.told
            left -= 1
            assert mini_batches_lost(workshop.run(name)) <= AT_MOST_LOST[config]
        if ended.code == 0:
            workshop.compare(config, name)
        else:
            workshop.finish(config, name)


def mini_batches_lost(run: Path) -> int:
    """Rows of steps.csv tell of how many that no complete checkpoint holds."""
    checkpoints = list_checkpoints(run / "checkpoints")
    if not checkpoints:
        return 0
    state = json.loads((checkpoints[0] / "state.json").read_text("utf-8"))
    told = max(numbers(run / "steps.csv", "batch"), default=0)
    return told - state["counters"]["batch"]


def numbers(table: Path, column: str) -> list[int]:
    """A column of the whole rows of a table."""
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [int(row[column]) for row in rows if None not in row.values()]


@pytest.mark.parametrize("config", mostly_slow(CONFIGS, ("adamw", "stages")))
def test_a_run_killed_at_random_ends_with_the_same_bits(
    workshop: Workshop, config: str, promise
) -> None:
    _, seconds = workshop.whole(config)
    kill_at_random(workshop, config, 3, seconds)
    promise("R1", 3)


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS)
def test_fifty_kills_at_random_change_no_bit(
    workshops: tuple[Workshop, ...], config: str, promise
) -> None:
    workshops[0].whole(config)

    def kill_half(number: int) -> None:
        workshop = workshops[number]
        name = workshop.new("warm")
        ended = workshop.done(*train(config, name))  # quicker than the very first
        workshop.compare(config, name)
        kill_at_random(workshop, config, 25, ended.seconds, f"half {number}")

    with ThreadPoolExecutor() as threads:
        for _ in threads.map(kill_half, range(len(workshops))):
            pass
    promise("R1", 50)


def test_the_runs_that_are_killed_have_everything_that_could_go_wrong(
    workshop: Workshop,
) -> None:
    states = {}
    for config in CONFIGS:
        run, _ = workshop.whole(config)
        newest = list_checkpoints(run / "checkpoints")[0]
        state = json.loads((newest / "state.json").read_text("utf-8"))
        states[config] = state, {path.name for path in newest.iterdir()}
    assert states["adamw"][0]["patience"]["waited"] == 2
    assert "average.safetensors" in states["adafactor"][1]
    assert "evaluated.safetensors" in states["muon"][1]
    assert states["stages"][0]["counters"]["stage"] == 2
    assert (workshop.run("whole-muon") / "samples.jsonl").is_file()
    reasons = {
        tomli.loads(
            (workshop.run(f"whole-{name}") / "summary.toml").read_text("utf-8")
        )["outcome"]["reason"]
        for name in CONFIGS
    }
    assert reasons == {"patience", "patience_steps", "max_epochs", "stages"}


def test_a_kill_within_accumulation_goes_back_to_the_border_of_a_step(
    workshop: Workshop, promise
) -> None:
    name = workshop.new("within")
    words = train("adamw", name)
    # Epochs of 5 mini-batches are steps of 3 and 2; the second of the third is killed.
    ended = workshop.tries(*words, hook=("kill within batch", 11))
    assert ended.code == -signal.SIGKILL
    newest = workshop.newest(name)
    assert newest
    assert newest.name == "step-000000004"
    workshop.finish("adamw", name)
    promise("R1", 1)


def test_a_run_killed_before_its_first_checkpoint_begins_afresh(
    workshop: Workshop, promise
) -> None:
    name = workshop.new("early")
    for more in ((), ("--continue",)):
        words = train("adamw", name, *more)
        ended = workshop.tries(*words, hook=("kill before save", 0))
        assert ended.code == -signal.SIGKILL
        assert (workshop.run(name) / "config.toml").is_file()
        assert workshop.newest(name) is None
    workshop.finish("adamw", name)
    promise("R1", 2)


def test_a_run_killed_before_its_summary_writes_it_when_resumed(
    workshop: Workshop, promise
) -> None:
    name = workshop.new("late")
    ended = workshop.tries(*train("adamw", name), hook=("kill before summary", 0))
    assert ended.code == -signal.SIGKILL
    assert not (workshop.run(name) / "summary.toml").exists()
    workshop.finish("adamw", name)
    promise("R1", 1)


def test_a_run_that_was_killed_as_it_went_on_is_not_called_altered(
    workshop: Workshop, promise
) -> None:
    name = workshop.new("verified")
    workshop.done(*train("adamw", name, "--train.max_epochs", "2"))
    sums = workshop.run(name) / ".sums.json"
    assert sums.exists()
    last = numbers(workshop.run(name) / "steps.csv", "batch")[-1]
    more = ("resume", "--name", name, "--train.max_epochs", "3")
    ended = workshop.tries(*more, hook=("kill after row", last + 4))
    assert ended.code == -signal.SIGKILL
    workshop.done("verify", name)
    assert not sums.exists()
    workshop.done(*more)
    workshop.done("verify", name)
    assert sums.exists()
    promise("R1", 1)


def counts(run: Path) -> dict[str, list[int]]:
    """How far each row of a run's tables had come, in its own unit."""
    column = {"steps.csv": "batch", "epochs.csv": "step"}
    column |= {"memory.csv": "batch", "speed.csv": "batch"}
    found = {name: numbers(run / name, key) for name, key in column.items()}
    lines = (run / "samples.jsonl").read_text("utf-8").splitlines()
    return {**found, "samples.jsonl": [json.loads(line)["step"] for line in lines]}


def test_rows_written_after_the_checkpoint_are_cut(workshop: Workshop, promise) -> None:
    few = ("--checkpoint.every", "50", "--train.learning_rate", "9.0")
    seldom = ("--train.eval_freq", "9", "--samples.every", "3")
    whole, name = workshop.new("measured"), workshop.new("rows")
    workshop.done(*train("muon", whole, *few, *seldom), hook=("measure", 0))
    words = train("muon", name, *few, *seldom)
    ended = workshop.tries(*words, hook=("kill after row, measuring", 20))
    assert ended.code == -signal.SIGKILL
    run, newest = workshop.run(name), workshop.newest(name)
    assert newest
    done = json.loads((newest / "state.json").read_text("utf-8"))["counters"]
    limits = {
        "steps.csv": done["logged_batch"],
        "epochs.csv": done["evaluated_step"],
        "memory.csv": done["batch"],
        "speed.csv": done["batch"],
        "samples.jsonl": done["step"],
    }
    before = counts(run)
    resume = ("resume", "--name", name)
    ended = workshop.tries(*resume, hook=("kill within batch", done["batch"]))
    assert ended.code == -signal.SIGKILL
    after = counts(run)
    for table, limit in limits.items():
        assert max(before[table]) > limit, table
        assert after[table] == [count for count in before[table] if count <= limit]
    workshop.done(*resume, hook=("measure", 0))
    assert counts(run) == counts(workshop.run(whole))
    assert differences(workshop.run(whole), run) == []
    promise("R1", 1)
