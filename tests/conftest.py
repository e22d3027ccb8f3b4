"""What all tests share: few threads, tiny settings, tiny data."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from slangmod.runs.directory import RunDir
from slangmod.runs.recorders import EpochsCsv, StepsCsv
from slangmod.settings.sections import Settings
from slangmod.training.events import EpochDone, StepDone

TINY: dict[str, Any] = {
    "model": {
        "dim": 16,
        "n_heads": 2,
        "n_layers": 2,
        "context": 64,
        "compile": False,
    },
    "data": {"seq_len": 8, "jitter": 3, "precision": "float32"},
    "train": {"batch_size": 4, "warmup": 5, "learning_rate": 0.01, "max_epochs": 2},
    "tokens": {"algo": "byte"},
}
"""A model that learns in milliseconds."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests share two cores with whatever else runs there."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def usual_level_of_log() -> None:
    """Whatever level a command before has set: tests run in any order."""
    logging.getLogger("slangmod").setLevel(logging.INFO)


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the tables of ``change`` laid over it."""
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result


@pytest.fixture
def tiny() -> Callable[..., Settings]:
    """Settings of a tiny run: ``tiny(train={"step_freq": 2})``."""

    def make(**change: Any) -> Settings:
        return Settings.model_validate(merged(TINY, change))

    return make


@pytest.fixture
def token_file(tmp_path: Path) -> Callable[..., Path]:
    """A shard of random ids that have some order to learn."""

    def make(name: str = "ids.bin", size: int = 400, vocab: int = 11) -> Path:
        chance = np.random.default_rng(size)
        steps = chance.integers(1, 3, size)
        path = tmp_path / name
        (np.cumsum(steps) % vocab).astype("<u2").tofile(path)
        return path

    return make


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunDir]:
    """Makes a run whose test loss is least at two thirds of its steps."""

    def make(name: str, steps: int = 60, evaluations: int = 6) -> RunDir:
        run = RunDir.of(tmp_path, name)
        run.root.mkdir(parents=True)
        run.config.write_text('[train]\nbatch_size = 64\nscaling = "inverse"\n')
        table, tests = StepsCsv(run.steps), EpochsCsv(run.epochs)
        for step in range(1, steps + 1):
            loss = 2 + 3 / step
            rate = 1e-3 * min(1, step / 6)
            table(StepDone(step, 1, step, 640 * step, loss, rate, 0.5, 41000.0))
            if evaluations and step % (steps // evaluations) == 0:
                test = 2 + abs(step - steps * 2 // 3) / steps
                tests(
                    EpochDone(1, step, 640 * step, loss, test, rate, step, best=False)
                )
        table.close()
        tests.close()
        return run

    return make
