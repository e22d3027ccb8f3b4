"""Documents that share a row and do not see each other; windows that end sight.

What a model computes is compared with itself on each document alone, and with plain
loops over pairs of tokens in float64.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from slangmod.commands.session import build_objective
from slangmod.generation.reader import Reader
from slangmod.model import Transformer, attention, build_model
from slangmod.model.positions import POSITIONS
from slangmod.model.sight import Sight
from slangmod.optim import build_optimizer
from slangmod.settings.sections import LayerTable
from slangmod.training.state import TrainState

VOCAB, END = 23, 0
FIRST = [5, 3, 9, 9, 1, 7]
"""The rest of a document whose beginning is in another row."""
SECOND = [END, 2, 8, 5, 3, 11, 4]
THIRD = [END, 6, 6]
ROW = torch.tensor([FIRST + SECOND + THIRD])

SHAPES: list[dict[str, Any]] = [{"positions": one} for one in POSITIONS]
SHAPES += [{"positions": "rotary", "attention_window": 3, "n_kv_heads": 1}]
SHAPES += [{"positions": "learnable", "layer": (LayerTable(attention_window=2),) * 2}]


def make(tiny: Any, *, packing: str = "mask", **shape: Any) -> Transformer:
    torch.manual_seed(0)
    return build_model(tiny(model=shape, data={"packing": packing}), VOCAB, END)


@pytest.fixture(params=SHAPES, ids=str)
def model(request: Any, tiny: Any) -> Transformer:
    return make(tiny, **request.param).eval()


@torch.no_grad()
def test_a_document_in_a_row_is_as_it_is_alone(model: Transformer) -> None:
    together = model(ROW)
    alone = [model(torch.tensor([ids])) for ids in (FIRST, SECOND, THIRD)]
    torch.testing.assert_close(together, torch.cat(alone, 1), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_without_masks_it_is_not(tiny: Any) -> None:
    model = make(tiny, packing="concat", positions="rotary").eval()
    alone = model(torch.tensor([THIRD]))
    assert not torch.allclose(model(ROW)[:, -len(THIRD) :], alone, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("pieces", [[16], [1] * 16, [5, 1, 1, 7, 2], [8, 8]])
def test_the_cache_keeps_documents_apart(model: Transformer, pieces: list[int]) -> None:
    ids = torch.cat((ROW, ROW.roll(3, 1)))
    cache = model.new_cache(2, 16)
    logits = [model.step(new, cache) for new in ids.split(pieces, 1)]
    torch.testing.assert_close(torch.cat(logits, 1), model(ids))


@torch.no_grad()
def test_selected_rows_go_on_in_their_own_documents(model: Transformer) -> None:
    ids = torch.cat((ROW, ROW.roll(3, 1)))
    cache = model.new_cache(2, 17)
    model.step(ids, cache)
    rows = torch.tensor([1, 0, 1])
    cache.select(rows)
    new = torch.tensor([[3], [END], [7]])
    whole = torch.cat((ids[rows], new), 1)
    torch.testing.assert_close(model.step(new, cache), model(whole)[:, -1:])


def test_a_reader_forgets_what_came_before_the_end_symbol(tiny: Any) -> None:
    model = make(tiny, positions="rotary").eval()
    one, other = Reader(model, 40), Reader(model, 40)
    one.read(ROW)
    torch.testing.assert_close(one.read(ROW[:, 6:9]), other.read(ROW[:, 6:9]))


def test_a_reader_begins_anew_where_its_context_ends(tiny: Any) -> None:
    model = make(tiny, context=8, positions="vanilla").eval()
    ids = torch.cat((ROW, ROW), 1)
    reader = Reader(model, 40)
    logits = torch.cat([reader.read(one) for one in ids.split(1, 1)])
    for seen in range(1, ids.shape[1] + 1):
        fresh = Reader(model, 40).read(ids[:, :seen])
        torch.testing.assert_close(logits[seen - 1 : seen], fresh)


def test_no_loss_at_a_border_reaches_across_it(tiny: Any) -> None:
    """Changed tokens of one document leave gradients by the others alone."""
    settings = tiny(data={"packing": "mask"}, model={"dropout": 0.0})
    model = make(tiny, dropout=0.0)
    state = TrainState(model, build_optimizer(settings, model))
    objective = build_objective(settings, state, torch.device("cpu"))
    targets = ROW.roll(-1, 1)
    own = torch.full_like(targets, -100)
    own[:, 6:] = targets[:, 6:]  # the first of them is told from the symbol alone
    losses = []
    for first in (FIRST, FIRST[::-1]):
        inputs = torch.tensor([first + SECOND + THIRD])
        losses.append(objective(inputs, own))
    assert losses[0].item() == losses[1].item()
    objective(ROW, own).backward()
    seen = {*SECOND, *THIRD}
    gradient = model.embedding.weight.grad
    untied = make(tiny, dropout=0.0, tie_embeddings=False)
    state = TrainState(untied, build_optimizer(settings, untied))
    build_objective(settings, state, torch.device("cpu"))(ROW, own).backward()
    gradient = untied.embedding.weight.grad
    assert gradient is not None
    assert {int(place) for place in gradient.any(1).nonzero()} == seen


def in_plain_loops(window: int | None, ids: Tensor, apart: bool) -> Any:
    """An ``attend`` that knows nothing of masks: pair after pair, in float64."""

    def attend(query: Tensor, key: Tensor, value: Tensor, *_: object) -> Tensor:
        batch, heads, seq, head = query.shape
        group = heads // key.shape[1]
        mixed = torch.zeros_like(query)
        for b in range(batch):
            for h in range(heads):
                for q in range(seq):
                    weights, total = 0.0, torch.zeros(head, dtype=query.dtype)
                    for k in range(q + 1):
                        if window is not None and q - k >= window:
                            continue
                        if apart and END in ids[b, k + 1 : q + 1]:
                            continue
                        score = query[b, h, q] @ key[b, h // group, k] / head**0.5
                        weights = weights + score.exp()
                        total = total + score.exp() * value[b, h // group, k]
                    mixed[b, h, q] = total / weights
        return mixed

    return attend


@torch.no_grad()
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize(
    ("window", "apart"), [(None, True), (1, False), (3, False), (3, True), (40, True)]
)
def test_logits_equal_those_of_plain_loops(
    tiny: Any, monkeypatch: Any, positions: str, window: int | None, apart: bool
) -> None:
    shape = {"positions": positions, "attention_window": window}
    model = make(tiny, packing="mask" if apart else "concat", **shape).eval()
    found = model(ROW)
    monkeypatch.setattr(attention, "attend", in_plain_loops(window, ROW, apart))
    expected = model.double()(ROW)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_long_row_in_blocks_equals_the_same_in_one_piece(
    tiny: Any, monkeypatch: Any
) -> None:
    shape = {"context": 300, "positions": "rotary", "attention_window": 20}
    model = make(tiny, **shape).eval()
    ids = torch.randint(VOCAB, (2, 291))
    calls: list[Sight] = []
    original = attention.attend_in_blocks

    def spy(*given: Any) -> Tensor:
        calls.append(given[-1])
        return original(*given)

    monkeypatch.setattr(attention, "attend_in_blocks", spy)
    whole = model(ids)
    assert len(calls) == 2
    cache = model.new_cache(2, 291)
    pieces = [model.step(new, cache) for new in ids.split([100, 191], 1)]
    assert len(calls) == 2
    torch.testing.assert_close(whole, torch.cat(pieces, 1), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_change_reaches_no_further_than_windows_add_up_to(tiny: Any) -> None:
    tables = (LayerTable(attention_window=3), LayerTable(attention_window=2))
    model = make(tiny, packing="concat", layer=tables, n_layers=2).eval()
    other = ROW.clone()
    other[:, 4] = 12
    moved = (model(ROW) != model(other)).any(-1)[0]
    assert moved.nonzero().flatten().tolist() == [4, 5, 6, 7]
