"""The loss in chunks against autograd in double precision, and against itself."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from slangmod.data.dataset import IGNORE
from slangmod.training import chunks
from slangmod.training.chunks import LEAST_ROWS, Aim, filled_up, prediction_loss

VOCAB, DIM = 50, 16
AIMS = {
    "plain": Aim(),
    "smoothed": Aim(0.1),
    "with z-loss": Aim(0.1, 0.01),
    "capped": Aim(softcap=2.0),
    "all": Aim(0.3, 0.02, 3.0),
}


def example() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    hidden = torch.randn(3, 90, DIM, requires_grad=True)
    matrix = torch.randn(VOCAB, DIM, requires_grad=True)
    targets = torch.randint(0, VOCAB, (3, 90))
    targets[0, 5:] = IGNORE
    targets[2, ::3] = IGNORE
    return hidden, matrix, targets


def by_definition(hidden: Tensor, matrix: Tensor, targets: Tensor, aim: Aim) -> Tensor:
    logits = (hidden.double() @ matrix.double().T).flatten(0, 1)
    if aim.softcap:
        logits = aim.softcap * (logits / aim.softcap).tanh()
    flat = targets.flatten()
    total = functional.cross_entropy(
        logits,
        flat,
        ignore_index=IGNORE,
        reduction="sum",
        label_smoothing=aim.smoothing,
    )
    log_z = logits.logsumexp(-1)[flat != IGNORE]
    return total + aim.z_loss * log_z.square().sum()


@pytest.fixture
def small_chunks(monkeypatch) -> None:
    monkeypatch.setitem(chunks.HELD, "cpu", LEAST_ROWS * VOCAB)


@pytest.mark.parametrize("aim", AIMS.values(), ids=AIMS)
def test_loss_and_gradient_are_those_of_autograd(aim: Aim, small_chunks) -> None:
    hidden, matrix, targets = example()
    expected = by_definition(hidden, matrix, targets, aim)
    wanted = torch.autograd.grad(0.3 * expected, (hidden, matrix))
    loss = prediction_loss(hidden, matrix, targets, aim)
    found = torch.autograd.grad(0.3 * loss, (hidden, matrix))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_what_is_ignored_has_no_gradient(small_chunks) -> None:
    hidden, matrix, targets = example()
    prediction_loss(hidden, matrix, targets, AIMS["all"]).backward()
    assert hidden.grad is not None
    assert (hidden.grad[targets == IGNORE] == 0).all()
    assert (hidden.grad[targets != IGNORE] != 0).any(-1).all()


def test_the_loss_of_low_precision_products_is_summed_in_float32() -> None:
    hidden, matrix, targets = example()
    low = torch.bfloat16
    rounded = hidden.to(low) @ matrix.to(low).T
    known = targets.flatten() != IGNORE
    logits = rounded.float().flatten(0, 1)[known]
    expected = functional.cross_entropy(
        logits, targets.flatten()[known], reduction="sum"
    )
    loss = prediction_loss(hidden, matrix, targets, Aim(), low)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("aim", AIMS.values(), ids=AIMS)
def test_a_filled_up_matrix_has_the_same_loss_and_gradient(
    aim: Aim, small_chunks, monkeypatch
) -> None:
    hidden, matrix, targets = example()
    low, found = torch.bfloat16, []
    for grain in (1, 64):
        monkeypatch.setitem(chunks.ROUND, "cpu", grain)
        assert len(filled_up(matrix.to(low))) == (64 if grain == 64 else VOCAB)
        loss = prediction_loss(hidden, matrix, targets, aim, low)
        found.append((loss, *torch.autograd.grad(loss, (hidden, matrix))))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-2)
    assert found[1][2].shape == matrix.shape


def test_only_bfloat16_on_gpus_is_filled_up() -> None:
    _, matrix, _ = example()
    for one in (matrix, matrix.bfloat16(), matrix[:0]):
        assert filled_up(one) is one
    for size, width in ((50, 64), (64, 64), (65, 128)):
        on_gpu = torch.empty(size, DIM, device="meta", dtype=torch.bfloat16)
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(chunks.ROUND, "meta", chunks.ROUND["cuda"])
            assert len(filled_up(on_gpu)) == width
            assert len(filled_up(on_gpu.float())) == size


def test_no_chunk_holds_more_logits_than_it_may(small_chunks) -> None:
    hidden, _, targets = example()
    sizes = [len(rows) for rows, _ in chunks.chunks(hidden, targets, VOCAB)]
    assert sizes == [64, 64, 64, 64, 14]
    assert chunks.rows_at_a_time(1 << 20, torch.device("cpu")) == LEAST_ROWS


def test_a_second_backward_pass_is_refused_rather_than_wrong() -> None:
    hidden, matrix, targets = example()
    loss = prediction_loss(hidden, matrix, targets, Aim())
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_without_gradients_none_are_made(monkeypatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Aim, "slope", never)
    hidden, matrix, targets = example()
    with torch.no_grad():
        loss = prediction_loss(hidden, matrix, targets, Aim())
    expected = by_definition(hidden, matrix, targets, Aim())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_so(value: float) -> None:
    hidden, matrix, targets = example()
    with torch.no_grad():
        hidden[1, 4] = value
    loss = prediction_loss(hidden, matrix, targets, Aim())
    assert not loss.isfinite()


def test_products_of_float32_alone_are_those_given(small_chunks) -> None:
    hidden, matrix, targets = example()
    shapes = []

    def product(a: Tensor, b: Tensor) -> Tensor:
        shapes.append((*a.shape, len(b)))
        return a @ b.t()

    low = torch.bfloat16
    prediction_loss(hidden, matrix, targets, Aim(), low, product).backward()
    assert shapes == []
    loss = prediction_loss(hidden, matrix, targets, Aim(), torch.float32, product)
    assert torch.equal(loss, prediction_loss(hidden, matrix, targets, Aim()))
    first = [(64, DIM, VOCAB), (64, VOCAB, DIM), (VOCAB, 64, DIM)]
    assert shapes[:3] == first
    assert len(shapes) == 15
