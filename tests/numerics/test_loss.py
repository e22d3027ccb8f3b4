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


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_z_loss_is_the_squared_logarithm_of_the_denominator(smoothing: float) -> None:
    logits, targets = example()
    known = targets != IGNORE
    log_z = logits.double().exp().sum(-1).log()[known]
    plain = cross_entropy_sum(logits, targets, smoothing)
    with_z = cross_entropy_sum(logits, targets, smoothing, 0.01)
    expected = 0.01 * float((log_z**2).sum())
    assert expected > 0.1
    assert (with_z - plain).item() == pytest.approx(expected, rel=1e-4)


def test_the_gradient_of_z_loss_is_its_closed_form() -> None:
    """d/dx of z * logsumexp(x)^2 is 2 * z * logsumexp(x) * softmax(x)."""
    logits, targets = example()
    grads = []
    for z_loss in (0.0, 0.01):
        leaf = logits.clone().requires_grad_()
        cross_entropy_sum(leaf, targets, 0.1, z_loss).backward()
        assert leaf.grad is not None
        grads.append(leaf.grad.double())
    exact = logits.double()
    expected = 0.02 * exact.logsumexp(-1, keepdim=True) * exact.softmax(-1)
    expected[targets == IGNORE] = 0.0
    torch.testing.assert_close(grads[1] - grads[0], expected, rtol=1e-4, atol=1e-7)


def test_without_z_loss_no_denominator_is_computed_twice(monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("computed though the weight is 0")

    logits, targets = example()
    monkeypatch.setattr(torch.Tensor, "logsumexp", refuse)
    cross_entropy_sum(logits, targets, 0.1, 0.0)
    with pytest.raises(AssertionError):
        cross_entropy_sum(logits, targets, 0.1, 1e-4)
