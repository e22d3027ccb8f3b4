import pytest
import torch

from slangmod.model.dropout import Dropout, drop


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1 / 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_share_is_dropped_and_the_mean_kept(
    share: float, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    x = torch.ones(1_000_003, dtype=dtype)
    dropped = drop(x, share)
    assert dropped.dtype == dtype
    assert abs((dropped == 0).double().mean() - share) < 0.002
    kept = dropped[dropped != 0]
    expected = torch.tensor(1 / (1 - share), dtype=dtype)
    torch.testing.assert_close(kept, expected.expand(len(kept)), rtol=1e-3, atol=0)


def test_every_lane_is_as_good_as_the_others() -> None:
    torch.manual_seed(0)
    kept = drop(torch.ones(400_000), 0.3).view(-1, 4) != 0
    assert (kept.double().mean(0) - 0.7).abs().max() < 0.01
    # What is dropped says nothing about its neighbours.
    correlation = torch.corrcoef(kept.double().T)
    assert (correlation - torch.eye(4)).abs().max() < 0.02


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 0), (4, 3, 7)])
def test_any_shape_keeps_its_shape(shape: tuple[int, ...]) -> None:
    assert drop(torch.ones(shape), 0.5).shape == shape
    assert drop(torch.ones(*shape, 2).transpose(0, -1), 0.5).numel() >= 0


def test_gradients_pass_where_activations_passed() -> None:
    x = torch.ones(1000, requires_grad=True)
    dropped = drop(x, 0.4)
    dropped.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, dropped.detach())


def test_equal_seeds_drop_equally() -> None:
    def mask(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return drop(torch.ones(100), 0.5)

    assert torch.equal(mask(1), mask(1))
    assert not torch.equal(mask(1), mask(2))


def test_nothing_is_dropped_or_drawn_without_need() -> None:
    before = torch.get_rng_state()
    x = torch.ones(50)
    assert Dropout(0.0)(x) is x
    assert Dropout(0.5).eval()(x) is x
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_compiled_dropout_drops_the_share_in_one_graph() -> None:
    torch.manual_seed(0)
    compiled = torch.compile(lambda x: drop(x, 0.25), fullgraph=True)
    dropped = compiled(torch.ones(100_000))
    assert set(dropped.tolist()) == {0.0, dropped.max().item()}
    assert abs((dropped == 0).double().mean() - 0.25) < 0.01
    assert not torch.equal(dropped, compiled(torch.ones(100_000)))
