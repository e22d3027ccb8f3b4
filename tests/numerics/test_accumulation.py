"""Accumulated gradients are those of one big mini-batch, and are clipped once."""

import pytest
import torch

from slangmod.data.dataset import IGNORE, Batch
from slangmod.model import build_model
from slangmod.training.loss import cross_entropy_sum
from slangmod.training.step import accumulate_gradients, clip_gradients

CPU = torch.device("cpu")


def uneven_batch(rows: int) -> Batch:
    """Rows with anything from one to all targets known."""
    chance = torch.Generator().manual_seed(3)
    inputs = torch.randint(0, 11, (rows, 8), generator=chance)
    targets = torch.randint(0, 11, (rows, 8), generator=chance)
    lengths = torch.randint(1, 9, (rows, 1), generator=chance)
    lengths[-3:] = 1
    targets[torch.arange(8) >= lengths] = IGNORE
    return Batch(inputs, targets)


def gradient(settings, batches: list[Batch]) -> torch.Tensor:
    torch.manual_seed(0)
    model = build_model(settings, 11)

    def objective(inputs, targets):
        return cross_entropy_sum(model(inputs), targets, 0.1)

    accumulate_gradients(objective, batches, CPU, lambda _: None)
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("pieces", [2, 4, 8, 32])
def test_4_times_8_equals_1_times_32(tiny, pieces: int) -> None:
    settings = tiny(model={"dropout": 0.0})
    whole = uneven_batch(32)
    parts = zip(*(tensor.chunk(pieces) for tensor in whole), strict=True)
    one = gradient(settings, [whole])
    many = gradient(settings, [Batch(*part) for part in parts])
    assert (one - many).norm() / one.norm() < 1e-6


def test_rows_without_targets_change_nothing(tiny) -> None:
    settings = tiny(model={"dropout": 0.0})
    batch = uneven_batch(8)
    filling = Batch(batch.inputs, torch.full_like(batch.targets, IGNORE))
    both = Batch(
        torch.cat((batch.inputs, filling.inputs)),
        torch.cat((batch.targets, filling.targets)),
    )
    alone = gradient(settings, [batch])
    assert (gradient(settings, [both]) - alone).norm() / alone.norm() < 1e-6
    assert torch.equal(gradient(settings, [batch, filling]), alone)


def test_clipping_scales_the_whole_gradient_to_the_limit() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
    parameters[0].grad = torch.tensor([3.0, 0.0])
    parameters[1].grad = torch.tensor([0.0, 4.0])
    norm = clip_gradients(parameters, 0.8)
    assert norm.item() == pytest.approx(5.0)
    assert parameters[0].grad[0].item() == pytest.approx(3 * 0.8 / 5, rel=1e-5)
    assert parameters[1].grad[1].item() == pytest.approx(4 * 0.8 / 5, rel=1e-5)


def test_gradients_within_the_limit_are_left_alone() -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([0.3, 0.4])
    assert clip_gradients([parameter], 0.8).item() == pytest.approx(0.5)
    assert parameter.grad.tolist() == pytest.approx([0.3, 0.4])
