"""Gradients are reduced once an optimizer step, and no more bytes than they have."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

from slangmod.parallel.group import open_team
from slangmod.parallel.launch import launch_of
from slangmod.training import strategies
from slangmod.training.trainer import Trainer
from tests.parallel.yard import Yard, rows

COUNT = """
from tests.parallel import test_gradients
test_gradients.count_reductions()
"""


def heard(hear: Callable[[torch.Tensor], None]) -> None:
    """Let ``hear`` know of each bucket of gradients before it is reduced."""

    def hook(_: object, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        hear(bucket.buffer())
        return default_hooks.allreduce_hook(None, bucket)

    class Heard(strategies.DistributedDataParallel):
        def __init__(self, *known: Any, **more: Any) -> None:
            super().__init__(*known, **more)
            self.register_comm_hook(None, hook)

    strategies.DistributedDataParallel = Heard


def count_reductions() -> None:
    """Write down, for each optimizer step, the bytes that were reduced in it."""
    found: list[int] = []
    steps: list[int] = []
    taken = Trainer.take_step
    heard(lambda buffer: found.append(buffer.numel() * buffer.element_size()))

    def take_step(self, state, *others) -> None:
        found.clear()
        taken(self, state, *others)
        steps.append(sum(found))
        weights = sum(weight.numel() for weight in state.model.parameters())
        text = json.dumps({"weights": weights, "steps": steps})
        Path(f"reduced-{os.environ['RANK']}.json").write_text(text)

    Trainer.take_step = take_step


@pytest.mark.slow
def test_each_gradient_is_reduced_once_in_an_optimizer_step(yard: Yard) -> None:
    name = yard.new("counted")
    more = ("--train.max_steps", "6", "--train.step_freq", "3")
    yard.done(2, *yard.train("bits", name, *more), before=COUNT)
    for rank in (0, 1):
        told = json.loads((yard.folder / f"reduced-{rank}.json").read_text())
        assert told["steps"] == [4 * told["weights"]] * 6
    batches = [int(row["batch"]) for row in rows(yard.run(name))]
    assert batches[-1] > 2 * 6  # in which there were several mini-batches


def show_overlap(folder: str) -> None:
    """Write down when each bucket was reduced, and when backward was over."""
    launch = launch_of(os.environ)
    assert launch is not None
    order: list[str] = []
    heard(lambda _: order.append("reduced"))
    with open_team(launch, torch.device("cpu"), "gloo", 60.0):
        model = torch.nn.Sequential(*(torch.nn.Linear(800, 800) for _ in range(8)))
        objective = strategies.ddp(model).around(lambda inputs, _: model(inputs).sum())
        next(model.parameters()).register_hook(lambda _: order.append("first layer"))
        for _ in range(2):  # buckets are formed anew after the first
            order.clear()
            objective(torch.ones(2, 800), torch.ones(2)).backward()
        Path(folder, f"order-{launch.rank}.json").write_text(json.dumps(order))
        del objective  # whose hook is Python, before its threads end


@pytest.mark.slow
def test_reduction_begins_while_gradients_are_still_computed(ranks, tmp_path) -> None:
    name = f"{__name__}:show_overlap"
    ended = ranks.call(2, tmp_path, name, str(tmp_path))
    assert ended.codes == [0, 0], ended.errors
    order = json.loads((tmp_path / "order-0.json").read_text())
    assert order.index("reduced") < order.index("first layer")
