"""The same by ``python -m slangmod``: a process of its own, killed from outside."""

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress

import pytest
import tomli

from tests.reliability.bits import differences
from tests.reliability.forks import ENVIRONMENT
from tests.reliability.workshop import Ended, Workshop, train

SEED = 20261121

COMPILED = """
    [model]
    compile = true

    [train]
    step_freq = 3
    max_epochs = 100000
    patience_steps = 20
    patience_increase = 1.0
    """
"""So long a training that compiling pays, which patience ends after 20 steps."""


def by_command(
    workshop: Workshop, words: Sequence[str], kill_after: float | None = None
) -> Ended:
    """Run a command line in a process of its own, and kill it after so many seconds."""
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "slangmod", *words],
            cwd=workshop.folder,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(kill_after)
        process.kill()
        code = process.wait()
        errors.seek(0)
        return Ended(code, time.monotonic() - begun, errors.read())


def kill_commands(workshop: Workshop, config: str, kills: int, seconds: float) -> None:
    """So many SIGKILLs at random instants of as many seconds, up to three on a run."""
    chance = random.Random(f"{SEED} {config} {kills}")
    left = kills
    while left:
        name = workshop.new("command")
        for _ in range(chance.randint(1, min(3, left))):
            words = workshop.onwards(config, name)
            instant = chance.uniform(0.0, seconds)
            ended = by_command(workshop, words, instant)
            told = f"{SEED} {config}: {words} for {instant:.6f} s -> {ended.code}"
            sys.stdout.write(told + "\n")  # which is shown where the test fails
            if ended.code == 0:
                break
            assert ended.code == -signal.SIGKILL, ended.told
            left -= 1
        if ended.code:
            ended = by_command(workshop, workshop.onwards(config, name))
            assert ended.code == 0, ended.told
        workshop.compare(config, name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "kills"), [("adamw", 6), ("muon", 6), ("stages", 5)]
)
def test_a_command_killed_at_random_ends_with_the_same_bits(
    workshop: Workshop, config: str, kills: int, promise
) -> None:
    forked, _ = workshop.whole(config)
    name = workshop.new("alone")
    ended = by_command(workshop, train(config, name))
    assert ended.code == 0, ended.told
    # What is forked differs in nothing from what is started.
    assert differences(forked, workshop.run(name)) == []
    kill_commands(workshop, config, kills, ended.seconds)
    promise("R1", kills)


@pytest.mark.slow
def test_a_compiled_run_killed_at_random_ends_with_the_same_bits(
    workshop: Workshop, promise
) -> None:
    workshop.add("compiled", COMPILED)
    whole, _ = workshop.whole("compiled")
    summary = tomli.loads((whole / "summary.toml").read_text("utf-8"))
    assert summary["environment"]["compiled"]
    assert summary["outcome"]["steps"] == 20
    # The compiler remembers: a second run is what the others last as long as.
    name = workshop.new("again")
    ended = by_command(workshop, train("compiled", name))
    assert ended.code == 0, ended.told
    workshop.compare("compiled", name)
    kill_commands(workshop, "compiled", 3, ended.seconds)
    promise("R1", 3)
