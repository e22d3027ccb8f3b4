"""States of training small enough to be saved a thousand times."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import torch

from slangmod.training.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    newest_sound,
)
from slangmod.training.saver import Saver
from slangmod.training.state import TrainState

OLD, NEW = 10, 20
"""Optimizer steps of two states."""


def state_at(step: int, best: int | None = None) -> TrainState:
    """The state after ``step`` steps of a little model; ``best`` of them found best."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(step):
        optimizer.zero_grad()
        model(torch.ones(3)).square().sum().backward()
        optimizer.step()
    state = TrainState(model, optimizer)
    state.counters.step = state.counters.batch = step
    known = step if best is None else best
    state.patience = replace(state.patience, best_step=known, best_loss=1 / (1 + known))
    return state


def changed(state: TrainState) -> TrainState:
    """The state of the same step with other weights, as of another course."""
    with torch.no_grad():
        state.model.weight.add_(1.0)
    return state


def bits(state: TrainState) -> str:
    """A hash of all that a checkpoint holds."""
    digest = hashlib.sha256(json.dumps(state.plain(), sort_keys=True).encode())
    tensors = dict(state.model.state_dict())
    for index, entries in sorted(state.optimizer.state_dict()["state"].items()):
        tensors |= {f"{index}/{key}": value for key, value in entries.items()}
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + torch.as_tensor(tensor).numpy().tobytes())
    return digest.hexdigest()


def loaded(folder: Path) -> str:
    """The bits of the newest sound checkpoint."""
    state = state_at(1)
    load_checkpoint(newest_sound(folder), state)
    return bits(state)


def all_good() -> None:
    """Nothing was recorded beside, so nothing can be wrong with it."""


def saver_of(folder: Path, **options) -> Saver:
    """A saver that keeps one checkpoint besides the best."""
    there = list_checkpoints(folder)
    known = {"keep": 1, "sync": all_good, "spared": None if not there else -1}
    return Saver(folder, {"settings_sha256": "5e7"}, **{**known, **options})
