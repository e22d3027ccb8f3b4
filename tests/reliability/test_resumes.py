"""A run that is stopped after any step, and goes on, ends as if it never had been."""

import csv
import random
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import tomli

from slangmod.training.limits import Outcome
from tests.conftest import merged
from tests.reliability.workshop import Workshop, train
from tests.training.test_resume import assert_same_bits, resumed, timeless

SEED = 20261121
SAVED = 75
STEPS = 40

STEPWISE = """
    [train]
    optimizer = "{optimizer}"
    step_freq = {step_freq}
    max_epochs = 40
    max_steps = 40
    warmup = 30
    eval_freq = 7
    patience = 18
    patience_steps = 1000

    [checkpoint]
    every = 1000
    """
"""The rate rises for 30 mini-batches, of which an epoch has 5."""


def stepwise(workshop: Workshop, optimizer: str, step_freq: int) -> str:
    """The name of such a configuration, and its whole run, which is what it says."""
    config = f"{optimizer}-{step_freq}"
    workshop.add(config, STEPWISE.format(optimizer=optimizer, step_freq=step_freq))
    run, _ = workshop.whole(config)
    outcome = tomli.loads((run / "summary.toml").read_text("utf-8"))["outcome"]
    assert (outcome["reason"], outcome["steps"]) == ("max_steps", STEPS)
    with (run / "epochs.csv").open(newline="", encoding="utf-8") as stream:
        losses = [float(row["test_loss"]) for row in csv.DictReader(stream)]
    if optimizer == "adamw":  # it waits for better losses; the others learn on
        assert losses != sorted(losses, reverse=True)
    return config


def stop_after(workshop: Workshop, config: str, steps: Iterable[int]) -> None:
    """A run for each of ``steps``, with a SIGTERM within it, and resumed."""
    for step in steps:
        name = workshop.new("stopped")
        hook = ("signal after step", step)
        ended = workshop.tries(*train(config, name), hook=hook)
        # After the last step it is the evaluation of the end that is put off.
        assert ended.code == SAVED, ended.told
        newest = workshop.newest(name)
        assert newest
        assert newest.name == f"step-{step:09d}"
        workshop.done("resume", "--name", name)
        workshop.compare(config, name, stopped=True)


def test_a_run_stopped_after_two_steps_of_it_ends_with_the_same_bits(
    workshop: Workshop, promise
) -> None:
    stop_after(workshop, stepwise(workshop, "adamw", 3), (17, STEPS))
    promise("R4", 2)


@pytest.mark.slow
@pytest.mark.parametrize("step_freq", [1, 3])
@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "muon"])
def test_a_run_stopped_after_any_step_ends_with_the_same_bits(
    workshop: Workshop, optimizer: str, step_freq: int, promise
) -> None:
    steps = range(1, STEPS + 1)
    stop_after(workshop, stepwise(workshop, optimizer, step_freq), steps)
    promise("R4", len(steps))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "muon"])
def test_a_run_that_a_limit_ends_goes_on_as_if_it_never_had(
    workshop: Workshop, optimizer: str, promise
) -> None:
    config, stops = stepwise(workshop, optimizer, 3), (1, 4, 13, 26, 39)
    for step in stops:
        name = workshop.new("limited")
        workshop.done(*train(config, name, "--train.max_steps", str(step)))
        workshop.done("resume", "--name", name, "--train.max_steps", str(STEPS))
        workshop.compare(config, name, stopped=True)
    promise("R4", len(stops))


SHARED = """
    threads = 2

    [data]
    seq_len = 128
    precision = "{precision}"

    [model]
    dim = 256
    n_heads = 4
    context = 128
    dropout = 0.1
    compile = {compile}

    [train]
    optimizer = "{optimizer}"
    batch_size = 8
    max_epochs = 50
    max_steps = 6
    learning_rate = 0.003

    [checkpoint]
    every = 2
    """
"""Of a size at which two threads share each kernel."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "precision"),
    [
        ("adamw", "float32"),
        ("adamw", "bfloat16"),
        ("adafactor", "float32"),
        ("muon", "bfloat16"),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_where_threads_share_kernels_a_resumed_run_has_the_same_bits(
    workshop: Workshop, compiled: bool, optimizer: str, precision: str, promise
) -> None:
    config = f"shared-{compiled}-{optimizer}-{precision}"
    here = {"optimizer": optimizer, "precision": precision}
    workshop.add(config, SHARED.format(compile=str(compiled).lower(), **here))
    whole, _ = workshop.whole(config, hook=("compile", 0))
    summary = tomli.loads((whole / "summary.toml").read_text("utf-8"))
    facts = summary["environment"]
    assert (facts["threads"], facts["compiled"]) == (2, compiled)
    for step in (1, 3):
        name = workshop.new("shared")
        ended = workshop.tries(*train(config, name), hook=("compile", step))
        assert ended.code == SAVED, ended.told
        workshop.done("resume", "--name", name)
        workshop.compare(config, name, stopped=True)
    promise("R4", 2)
    promise("R1", killed_where_threads_share(workshop, config))


def killed_where_threads_share(workshop: Workshop, config: str) -> int:
    """How many SIGKILLs at random, two at most on a run, have changed no bit."""
    chance, killed = random.Random(f"{SEED} {config}"), 0
    name, hook = workshop.new("shared"), ("compile", 0)
    whole = workshop.done(*train(config, name), hook=hook)
    workshop.compare(config, name)
    for _ in range(3):
        name = workshop.new("shared")
        for part in (chance.uniform(0.4, 0.9), chance.uniform(0.4, 0.9), None):
            words = workshop.onwards(config, name)
            instant = None if part is None else part * whole.seconds
            ended = workshop.tries(*words, kill_after=instant, hook=hook)
            if ended.code == 0:
                break
            assert ended.code == -signal.SIGKILL, ended.told
            killed += 1
        workshop.compare(config, name)
        if killed:
            break
    return killed


CHANGES: tuple[dict[str, dict[str, Any]], ...] = (
    {"train": {"optimizer": "adamw", "step_freq": 3}},
    {"train": {"optimizer": "adafactor", "step_freq": 2, "ema": 0.9}},
    {"train": {"optimizer": "muon", "eval_freq": 4, "cb_freq": 5}},
    {"train": {"optimizer": "bfgs", "step_freq": 2}, "checkpoint": {"every": 5}},
    {
        "train": {
            "patience": 9,
            "eval_freq": 3,
            "convergence_threshold": 1e-9,
            "convergence_norm": "update",
        },
        "model": {"norm_cls": "rms", "positions": "rotary"},
    },
)
COMMON = {
    "train": {"max_epochs": 50, "warmup": 30},
    "model": {"dropout": 0.2},
    "data": {"jitter": 5},
}

Kept = tuple[Any, Outcome, list[Any], list[Any]]


def chain_at_random(
    bench: Callable[..., Any], examples: int, steps: int, longest: int
) -> None:
    """Runs of ``steps``, stopped after 2 to ``longest`` of them, some twice over."""
    chance = random.Random(SEED + examples)
    wholes: dict[int, Kept] = {}
    for example in range(examples):
        number = example % len(CHANGES)
        change = merged(
            merged(COMMON, CHANGES[number]), {"train": {"max_steps": steps}}
        )
        if number not in wholes:
            run = bench(folder=f"whole-{number}", **change)
            outcome = run.fit()
            wholes[number] = run, outcome, timeless(run.steps), timeless(run.epochs)
        stops = sorted(chance.choices(range(1, steps), k=chance.randint(2, longest)))
        sys.stdout.write(f"{change} stopped after {stops}\n")
        run, *ended = resumed(bench, stops, change)
        whole, *meant = wholes[number]
        assert ended == meant
        assert_same_bits(run.state, whole.state)
        remove(run.folder)


def remove(folder: Any) -> None:
    """Checkpoints of a run that the next begins without."""
    for path in folder.iterdir():
        for file in path.iterdir():
            file.unlink()
        path.rmdir()


def test_a_random_chain_of_resumes_changes_no_bit(bench, promise) -> None:
    chain_at_random(bench, 3, 10, 4)
    promise("R5", 3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_hundred_random_chains_of_resumes_change_no_bit(bench, promise) -> None:
    chain_at_random(bench, 200, STEPS, 12)
    promise("R5", 200)


@pytest.mark.slow
@pytest.mark.parametrize("config", ["adamw", "adafactor", "muon", "stages"])
def test_a_chain_of_signals_by_the_commands_changes_no_bit(
    workshop: Workshop, config: str, promise
) -> None:
    chance = random.Random(f"{SEED} {config}")
    whole, _ = workshop.whole(config)
    summary = tomli.loads((whole / "summary.toml").read_text("utf-8"))
    for _ in range(5):
        name = workshop.new("chain")
        steps = sorted(chance.sample(range(1, summary["outcome"]["steps"]), 5))
        for step in steps:
            words = workshop.onwards(config, name)
            ended = workshop.tries(*words, hook=("signal after step", step))
            assert ended.code == SAVED, (steps, ended.told)
        workshop.done("resume", "--name", name)
        workshop.compare(config, name, stopped=True)
    promise("R5", 5)
