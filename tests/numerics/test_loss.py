"""The loss against torch's own cross-entropy and against its definition."""

import pytest
import torch
from torch.nn import functional

from slangmod.data.dataset import IGNORE
from slangmod.training.loss import LossSum, count_targets, cross_entropy_sum


def example(vocab: int = 13) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    logits = 3 * torch.randn(3, 7, vocab)
    targets = torch.randint(0, vocab, (3, 7))
    targets[0, 4:] = IGNORE
    targets[2, :] = IGNORE
    return logits, targets


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_mean_over_targets_is_torchs(smoothing: float) -> None:
    logits, targets = example()
    ours = cross_entropy_sum(logits, targets, smoothing) / count_targets(targets)
    theirs = functional.cross_entropy(
        logits.transpose(1, 2), targets, ignore_index=IGNORE, label_smoothing=smoothing
    )
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.25])
def test_sum_is_its_definition(smoothing: float) -> None:
    logits, targets = example()
    expected = 0.0
    for row, target in zip(logits.flatten(0, 1), targets.flatten(), strict=True):
        if target == IGNORE:
            continue
        wanted = torch.full((13,), smoothing / 13, dtype=torch.float64)
        wanted[target] += 1 - smoothing
        logs = row.double() - torch.logsumexp(row.double(), 0)
        expected -= float((wanted * logs).sum())
    total = cross_entropy_sum(logits, targets, smoothing)
    assert total.item() == pytest.approx(expected, rel=1e-6)


def test_ignored_targets_have_no_gradient() -> None:
    logits, targets = example()
    logits.requires_grad_()
    cross_entropy_sum(logits, targets, 0.1).backward()
    assert logits.grad is not None
    ignored = targets == IGNORE
    assert (logits.grad[ignored] == 0).all()
    assert (logits.grad[~ignored] != 0).any(dim=-1).all()


def test_half_precision_logits_are_summed_in_float32() -> None:
    logits, targets = example()
    total = cross_entropy_sum(logits.bfloat16(), targets)
    assert total.dtype == torch.float32
    exact = cross_entropy_sum(logits.bfloat16().float(), targets)
    assert total.item() == exact.item()


def test_a_sum_knows_its_mean() -> None:
    assert LossSum(6.0, 4).mean == 1.5
    assert LossSum(0.0, 0).mean != LossSum(0.0, 0).mean
