"""Runs of the real command line, in this process, some of whose losses are altered."""

import csv
import json
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from slangmod.cli import main
from slangmod.commands import dissecting, replay, session
from slangmod.runs.summary import read_summary
from slangmod.training.step import Objective
from slangmod.training.trainer import Trainer
from tests.reliability.tiny import tiny

CONFIG = tiny(
    log_level="error",
    progress=False,
    data={"jitter": 3},
    model={"context": 32, "dropout": 0.1},
    train={"step_freq": 2, "max_epochs": 3, "ema": 0.9, "patience": 9},
    checkpoint={"every": 7},
    guard={"on_spike": "rewind", "spike_window": 8},
)
"""17 steps an epoch, with checkpoints between; what can change while training does."""

Harm = Callable[[Tensor], Tensor]
"""of the loss of a mini-batch"""


class _Explode(torch.autograd.Function):
    """The loss as it is, with a gradient that is not finite."""

    @staticmethod
    def forward(_: Any, loss: Tensor) -> Tensor:
        return loss.clone()

    @staticmethod
    def backward(_: Any, *grads: Tensor) -> Tensor:
        return grads[0] * float("inf")


HARMS: dict[str, Harm] = {
    "nan loss": lambda loss: loss * float("nan"),
    "infinite loss": lambda loss: loss * float("inf"),
    "infinite gradient": _Explode.apply,
}


def tripled(loss: Tensor) -> Tensor:
    return 3 * loss


class KilledError(BaseException):
    """Ends a run as a kill does: nothing is saved, nothing is summed up."""


@dataclass
class Lab:
    """A folder with encodings; ``harm`` says which mini-batches are altered."""

    folder: Path
    patch: pytest.MonkeyPatch
    harm: Mapping[int, Harm] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seed_batch, position = session.seed_batch, -1

        def seed(number: int, now: int, rank: int = 0) -> None:
            nonlocal position
            position = now
            seed_batch(number, now, rank)

        def harmed(objective: Objective) -> Objective:
            def one(inputs: Tensor, targets: Tensor) -> Tensor:
                harm = self.harm.get(position, lambda loss: loss)
                return harm(objective(inputs, targets))

            return one

        def trainer(**known: Any) -> Trainer:
            return Trainer(**known | {"objective": harmed(known["objective"])})

        def taken_apart(now: session.Session, objective: Objective) -> dict[str, Any]:
            return dissecting.dissect(now, harmed(objective))

        self.patch.setattr(session, "seed_batch", seed)
        self.patch.setattr(dissecting, "seed_batch", seed)
        self.patch.setattr(session, "Trainer", trainer)
        self.patch.setattr(replay, "dissect", taken_apart)
        self.patch.setattr("os.fsync", lambda _: None)  # bits are under test here
        self.patch.chdir(self.folder)

    def run(self, *words: str) -> int:
        return main(list(words))

    def train(self, name: str, *words: str) -> int:
        return self.run("train", "--toml", "config.toml", "--name", name, *words)

    def resume(self, name: str, *words: str) -> int:
        return self.run("resume", "--name", name, *words)

    def root(self, name: str) -> Path:
        return self.folder / "runs" / name

    def outcome(self, name: str) -> dict[str, Any]:
        return read_summary(self.root(name) / "summary.toml")["outcome"]

    def incidents(self, name: str) -> list[dict[str, Any]]:
        path = self.root(name) / "incidents.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]

    def stopped_at(self, name: str, taken: int) -> None:
        """Begin a run that a signal ends after ``taken`` steps, repeated ones included.

        One that has ended by then is left alone.
        """

        def stop() -> None:
            signal.raise_signal(signal.SIGTERM)

        with self.patch.context() as patch:
            patch.setattr(Trainer, "take_step", counted(taken, stop))
            assert self.train(name) in (0, 75)

    def killed_at(self, name: str, taken: int) -> None:
        """The same, ended by a kill before the step that follows."""

        def kill() -> None:
            raise KilledError

        with self.patch.context() as patch:
            patch.setattr(Trainer, "take_step", counted(taken, kill))
            assert self.train(name) in (0, 1)


def counted(taken: int, act: Callable[[], None]) -> Callable[..., None]:
    """``Trainer.take_step`` that acts before the step after ``taken`` steps."""
    take_step, left = Trainer.take_step, taken

    def one(*args: Any) -> None:
        nonlocal left
        left -= 1
        if left == -1:
            act()
        take_step(*args)

    return one


def rows(path: Path) -> list[tuple[str, ...]]:
    """Rows without what depends on the clock."""
    timed = {"seconds", "tokens_per_second"}
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            tuple(v for k, v in row.items() if k not in timed)
            for row in csv.DictReader(stream)
        ]


def bits_of(run: Path) -> dict[str, Any]:
    """All of a run that must be the same however often it was interrupted."""
    newest = max((run / "checkpoints").glob("step-*"))
    state = json.loads((newest / "state.json").read_text("utf-8"))
    del state["about"], state["counters"]["seconds"], state["times"]
    summary = read_summary(run / "summary.toml")
    found: dict[str, Any] = {
        "checkpoint": newest.name,
        "state": state,
        "outcome": summary["outcome"],
        "validation": summary["validation"],
        "steps": rows(run / "steps.csv"),
        "epochs": rows(run / "epochs.csv"),
    }
    files = [*newest.glob("*.safetensors"), run / "model" / "model.safetensors"]
    files += [path for path in [run / "incidents.jsonl"] if path.exists()]
    files += sorted(run.glob("bad/*.safetensors"))
    for path in sorted(run.glob("bad/*.json")):
        # Which checkpoint is before a bad step depends on where signals left one.
        about = json.loads(path.read_text("utf-8"))
        found[path.name] = about | {"checkpoint": None}
    return found | {str(path.relative_to(run)): path.read_bytes() for path in files}


def prepare(folder: Path) -> None:
    """Fill a folder with config.toml and the encodings of a few documents."""
    (folder / "config.toml").write_text(CONFIG, "utf-8")
    (folder / "raw").mkdir()
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "red", "dogs", "run"]
    for name, size in (("train", 1100), ("test", 60), ("validation", 60)):
        text = " ".join(words[(i * i + i // 7) % 11] for i in range(size))
        (folder / "raw" / f"{name}.txt").write_text(text, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["clean", "tokenize", "encode", "--toml", "config.toml"]) == 0
