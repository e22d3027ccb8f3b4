from typing import Any

import pytest
import torch

from slangmod.model import Transformer, build_model
from slangmod.model.positions import POSITIONS

VOCAB, LENGTH = 23, 12


@pytest.fixture(params=POSITIONS)
def model(request: Any, tiny: Any) -> Transformer:
    torch.manual_seed(0)
    shape = {"positions": request.param, "n_heads": 4, "n_kv_heads": 2}
    return build_model(tiny(model=shape), VOCAB).eval()


@torch.no_grad()
def read(model: Transformer, ids: torch.Tensor, pieces: list[int]) -> torch.Tensor:
    cache = model.new_cache(len(ids), LENGTH)
    logits = [model.step(new, cache) for new in ids.split(pieces, dim=1)]
    assert cache.length == ids.shape[1]
    return torch.cat(logits, dim=1)


@pytest.mark.parametrize("pieces", [[12], [1] * 12, [5, 1, 1, 4, 1]])
def test_cached_logits_equal_uncached_ones(model: Any, pieces: list[int]) -> None:
    ids = torch.randint(VOCAB, (3, LENGTH))
    torch.testing.assert_close(read(model, ids, pieces), model(ids))


@torch.no_grad()
def test_selected_rows_go_on_where_they_were(model: Any) -> None:
    ids = torch.randint(VOCAB, (3, 6))
    cache = model.new_cache(3, LENGTH)
    model.step(ids, cache)
    rows = torch.tensor([2, 0, 2, 1])
    cache.select(rows)
    new = torch.randint(VOCAB, (4, 1))
    whole = torch.cat((ids[rows], new), dim=1)
    torch.testing.assert_close(model.step(new, cache), model(whole)[:, -1:])


@torch.no_grad()
def test_a_cleared_cache_remembers_nothing(model: Any) -> None:
    ids = torch.randint(VOCAB, (1, 6))
    cache = model.new_cache(1, LENGTH)
    model.step(torch.randint(VOCAB, (1, 9)), cache)
    cache.length = 0
    torch.testing.assert_close(model.step(ids, cache), model(ids))


def test_the_cache_holds_shared_heads_once(model: Any) -> None:
    keys = model.new_cache(3, LENGTH).keys
    assert [tensor.shape for tensor in keys] == [(3, 2, LENGTH, 4)] * 2
