"""However many rows are computed at a time, a step stays the same."""

import pytest
import torch

from slangmod.data.dataset import IGNORE, Batch
from slangmod.model import build_model
from slangmod.training.loss import cross_entropy_sum
from slangmod.training.portions import of_rows, portions
from slangmod.training.step import accumulate_gradients

CPU = torch.device("cpu")


def batches(count: int = 4, rows: int = 6) -> list[Batch]:
    """Mini-batches with other numbers of targets each."""
    chance = torch.Generator().manual_seed(5)
    found = []
    for _ in range(count):
        ids = torch.randint(0, 11, (2, rows, 8), generator=chance)
        lengths = torch.randint(1, 9, (rows, 1), generator=chance)
        ids[1][torch.arange(8) >= lengths] = IGNORE
        found.append(Batch(*ids))
    return found


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 7, 12, 13, 18, 24, 100])
def test_all_rows_come_once_and_in_order(rows: int) -> None:
    step = batches()
    found = list(portions(step, rows))
    for side in (0, 1):
        told = torch.cat([portion.batch[side] for portion in found])
        assert torch.equal(told, torch.cat([batch[side] for batch in step]))
    sizes = [len(portion.batch.inputs) for portion in found]
    assert max(sizes) <= rows
    assert max(sizes) == (rows if rows < 6 else min(rows - rows % 6, 24))
    begun = [place for one in found if one.first for place in one.places]
    assert begun == [0, 1, 2, 3]
    assert [portion.last for portion in found] == [False] * (len(found) - 1) + [True]


def gradients(settings, rows: int | None):
    """-> gradient, losses, target tokens, and the places that chance was seeded for."""
    torch.manual_seed(0)
    model = build_model(settings, 11)

    def objective(inputs, targets):
        return cross_entropy_sum(model(inputs), targets, 0.1)

    seeded: list[int] = []
    losses, tokens = accumulate_gradients(
        objective, batches(), CPU, seeded.append, rows
    )
    flat = torch.cat([p.grad.flatten() for p in model.parameters()])
    return flat, losses, tokens, seeded


@pytest.mark.parametrize("rows", [1, 2, 4, 6, 12, 24])
def test_gradients_losses_and_tokens_are_those_of_single_mini_batches(tiny, rows):
    settings = tiny(model={"dropout": 0.0})
    expected, all_losses, all_tokens, _ = gradients(settings, None)
    found, losses, tokens, seeded = gradients(settings, rows)
    assert (found - expected).norm() / expected.norm() < 1e-6
    assert tokens == all_tokens
    assert losses.sum().item() == pytest.approx(all_losses.sum().item(), rel=1e-6)
    if rows <= 6:
        torch.testing.assert_close(losses, all_losses, rtol=1e-6, atol=0)
        assert seeded == [0, 1, 2, 3]
    else:
        several = rows // 6
        assert seeded == list(range(0, 4, several))
        for start in seeded:
            group = slice(start, start + several)
            assert losses[group].sum().item() == pytest.approx(
                all_losses[group].sum().item(), rel=1e-6
            )


def test_portions_of_whole_mini_batches_leave_every_bit(tiny) -> None:
    settings = tiny(model={"dropout": 0.0})
    plain, whole = gradients(settings, None), gradients(settings, 6)
    assert torch.equal(plain[0], whole[0])
    assert torch.equal(plain[1], whole[1])


@pytest.mark.parametrize("rows", [None, 1, 4, 6, 7, 18])
def test_a_sample_to_compile_for_has_the_shape_of_a_portion(rows: int | None) -> None:
    sample = of_rows(batches()[0], rows)
    assert sample.inputs.shape == sample.targets.shape == (rows or 6, 8)
