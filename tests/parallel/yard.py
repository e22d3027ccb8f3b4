"""A folder with encoded data, in which several processes train tiny runs together."""

import csv
import itertools
import os
import textwrap
from pathlib import Path
from typing import Any

from slangmod.cli import main
from slangmod.runs.summary import read_summary
from slangmod.training.checkpoint import list_checkpoints
from tests.parallel.ranks import Ended, Ranks
from tests.reliability.bits import differences
from tests.reliability.tiny import tiny, write_raw

BASE = {
    "threads": 1,
    "progress": False,
    "model": {"n_layers": 2, "dropout": 0.0},
    "train": {
        "batch_size": 16,
        "max_epochs": 50,
        "warmup": 8,
        "learning_rate": 0.01,
        "max_steps": 50,
    },
    "checkpoint": {"every": 8},
}

CONFIGS = {
    "adamw": "[train]\nstep_freq = 2",
    "adafactor": '[train]\noptimizer = "adafactor"\nstep_freq = 2',
    "muon": '[train]\noptimizer = "muon"',
    "bits": """
        [model]
        dropout = 0.2

        [train]
        step_freq = 3
        max_steps = 14
        ema = 0.8
        eval_freq = 5
        cb_freq = 2

        [checkpoint]
        every = 4
        """,
    "stages": """
        [model]
        dropout = 0.2

        [train]
        max_steps = 100

        [[stage]]
        epochs = 1
        train.step_freq = 3

        [[stage]]
        steps = 6
        reset_optimizer = true
        train.optimizer = "muon"
        train.batch_size = 8
        data.seq_len = 12
        model.dropout = 0.3
        """,
}
"""Changes to ``BASE``."""

EQUAL = ("step", "epoch", "batch", "tokens", "learning_rate")
"""Columns of steps.csv that are the same for any number of processes."""

ROOT = Path(__file__).parents[2]


def hook(name: str, number: int, *, rank: int) -> str:
    """What makes one process of several do something to itself; see ``HOOKS``."""
    return textwrap.dedent(f"""
        import os, sys
        sys.path.insert(0, {str(ROOT)!r})
        if os.environ["RANK"] == "{rank}":
            from tests.reliability.hooks import HOOKS
            HOOKS[{name!r}]({number})
        """)


class Yard:
    """Trains runs by one or several processes."""

    def __init__(self, ranks: Ranks, folder: Path) -> None:
        self.ranks, self.folder = ranks, folder
        self._numbers = itertools.count()
        self._wholes: dict[tuple[str, int], Path] = {}
        places = {"workdir": str(folder), "files": {"raw": str(folder / "raw")}}
        (folder / "config.toml").write_text(tiny(**places, **BASE), "utf-8")
        for name, change in CONFIGS.items():
            self.add(name, change)
        write_raw(folder / "raw", 700, 90)
        assert self.alone("clean", "tokenize", "encode", "--toml", "config.toml") == 0

    def add(self, name: str, change: str) -> None:
        """One more configuration, which changes the base."""
        text = f'base = "config.toml"\n{textwrap.dedent(change)}'
        (self.folder / f"{name}.toml").write_text(text, "utf-8")

    def alone(self, *words: str) -> int:
        """A command in this process, outside of torchrun."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            return main(words)
        finally:
            os.chdir(before)

    def tries(self, size: int, *words: str, **more: Any) -> Ended:
        """A command in ``size`` processes, however it ends."""
        return self.ranks.command(size, self.folder, *words, **more)

    def done(self, size: int, *words: str, **more: Any) -> Ended:
        """A command in ``size`` processes that must succeed."""
        return self.ranks.done(size, self.folder, *words, **more)

    def new(self, kind: str) -> str:
        """A name that no run has yet."""
        return f"{kind}-{next(self._numbers)}"

    def run(self, name: str) -> Path:
        """The folder of a run."""
        return self.folder / "runs" / name

    def train(self, config: str, name: str, *more: str) -> tuple[str, ...]:
        """The words that begin a run."""
        return ("train", "--toml", f"{config}.toml", "--name", name, *more)

    def whole(self, config: str, size: int) -> Path:
        """A run that nothing interrupted, trained once; size 0 is outside torchrun."""
        key = config, size
        if key not in self._wholes:
            name = f"whole-{config}-{size}"
            if size:
                self.done(size, *self.train(config, name))
            else:
                assert self.alone(*self.train(config, name)) == 0
            self._wholes[key] = self.run(name)
        return self._wholes[key]

    def newest(self, name: str) -> str:
        """The name of the newest complete checkpoint of a run."""
        return list_checkpoints(self.run(name) / "checkpoints")[0].name

    def outcome(self, name: str) -> dict[str, Any]:
        """[outcome] of the summary of a run."""
        return read_summary(self.run(name) / "summary.toml")["outcome"]

    def compare(self, whole: Path, name: str, *, stopped: bool = False) -> None:
        """A run must have the bits of another."""
        differing = differences(whole, self.run(name), stopped=stopped)
        assert not differing, f"{name}: {differing}"


def rows(run: Path, table: str = "steps") -> list[dict[str, str]]:
    """The rows of steps.csv or epochs.csv."""
    with (run / f"{table}.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def assert_alike(one: Path, other: Path, tolerance: float) -> None:
    """The same rows at the same rates, and losses within a relative ``tolerance``."""
    left, right = rows(one), rows(other)
    for name in EQUAL:
        assert [row[name] for row in left] == [row[name] for row in right], name
    for name in ("loss", "grad_norm"):
        limit = tolerance if name == "loss" else 20 * tolerance
        assert_close([row[name] for row in left], [row[name] for row in right], limit)
    left, right = rows(one, "epochs"), rows(other, "epochs")
    for name in ("epoch", "step", "tokens", "learning_rate"):
        assert [row[name] for row in left] == [row[name] for row in right], name
    for name in ("train_loss", "test_loss"):
        losses = [[row[name] for row in table] for table in (left, right)]
        assert_close(*losses, tolerance)


def assert_close(left: list[str], right: list[str], tolerance: float) -> None:
    """Numbers as text, each within a relative ``tolerance`` of the other."""
    for one, other in zip(left, right, strict=True):
        first, second = float(one or 0), float(other or 0)
        assert abs(first - second) <= tolerance * abs(first), (one, other)
