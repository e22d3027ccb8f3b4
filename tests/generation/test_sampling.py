from collections import Counter
from typing import Any

import pytest
import torch

from slangmod.generation.sampling import greedy, top_k, top_p

SHARES = [0.05, 0.4, 0.2, 0.25, 0.1]
LOGITS = torch.tensor(SHARES).log()


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def frequencies(pick: Any, logits: torch.Tensor = LOGITS, n: int = 4000) -> Any:
    """How often each token is picked, as a share."""
    return {
        token: c / n for token, c in Counter(pick(logits) for _ in range(n)).items()
    }


def expected(kept: set[int], temperature: float = 1.0) -> dict[int, float]:
    """Shares among the tokens that are kept, by the definition."""
    weights = {token: SHARES[token] ** (1 / temperature) for token in kept}
    total = sum(weights.values())
    return {token: weight / total for token, weight in weights.items()}


def test_greedy_takes_the_most_likely() -> None:
    assert greedy()(LOGITS) == 1
    assert greedy()(torch.zeros(4)) == 0


@pytest.mark.parametrize(
    ("k", "kept"),
    [
        (1, {1}),
        (3, {1, 2, 3}),
        (3.0, {1, 2, 3}),
        (5, {0, 1, 2, 3, 4}),
        (99, {0, 1, 2, 3, 4}),
        (0.4, {1, 3}),
        (0.99, {0, 1, 2, 3, 4}),
        (0.01, {1}),
    ],
)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_top_k_keeps_k_tokens_or_a_share(
    k: float, kept: set[int], temperature: float
) -> None:
    found = frequencies(top_k(k, temperature, chance()))
    assert found == pytest.approx(expected(kept, temperature), abs=0.03)


@pytest.mark.parametrize(
    ("p", "kept"),
    [
        (0.01, {1}),
        (0.39, {1}),
        (0.41, {1, 3}),
        (0.64, {1, 3}),
        (0.66, {1, 2, 3}),
        (0.86, {1, 2, 3, 4}),
        (0.96, {0, 1, 2, 3, 4}),
        (1.0, {0, 1, 2, 3, 4}),
    ],
)
def test_top_p_keeps_the_fewest_that_reach_p(p: float, kept: set[int]) -> None:
    found = frequencies(top_p(p, 1.0, chance()))
    assert found == pytest.approx(expected(kept), abs=0.03)


def test_temperature_comes_before_the_share() -> None:
    # At 0.5 shares are squared: 0.16, 0.0625, ... of 0.275: the first has 58 %.
    assert set(frequencies(top_p(0.5, 0.5, chance()))) == {1}
    assert set(frequencies(top_p(0.5, 1.0, chance()))) == {1, 3}


@pytest.mark.parametrize("temperature", [1e-300, 1e-45, 1e-6])
def test_the_smallest_temperature_is_greedy(temperature: float) -> None:
    for pick in (top_k(5, temperature, chance()), top_p(1.0, temperature, chance())):
        assert frequencies(pick, n=20) == {1: 1.0}


@pytest.mark.parametrize("logits", [LOGITS * 1e30, LOGITS - 1e30, LOGITS + 1e4])
def test_large_logits_are_no_trouble(logits: torch.Tensor) -> None:
    for pick in (top_k(3, 1.0, chance()), top_p(0.9, 1.0, chance())):
        assert pick(logits) in range(5)


def test_equal_seeds_draw_equally() -> None:
    def draws(seed: int) -> list[int]:
        pick = top_p(1.0, 1.0, chance(seed))
        return [pick(LOGITS) for _ in range(50)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


def test_drawing_leaves_other_chance_alone() -> None:
    before = torch.get_rng_state()
    top_k(3, 1.0, chance())(LOGITS)
    assert torch.equal(torch.get_rng_state(), before)
