from itertools import product
from typing import Any

import pytest
import torch

from slangmod.generation.beams import beam_search, shared_start
from slangmod.generation.reader import Reader

VOCAB, END = 4, 3


def exhaustive(model: Any, prompt: list[int], most: int, boost: float) -> Any:
    """Every continuation there is, by its log-probability over length**boost."""
    worth = {}
    for length in range(1, most + 1):
        for ids in product(range(VOCAB), repeat=length):
            ended = ids[-1] == END
            if END in ids[:-1] or (length < most and not ended):
                continue
            logits = model(torch.tensor([[*prompt, *ids]]))[0].double()
            likely = logits.log_softmax(-1)
            places = range(len(prompt) - 1, len(prompt) + length - 1)
            total = sum(
                likely[place, token].item()
                for place, token in zip(places, ids, strict=True)
            )
            worth[ids] = total / length**boost
    best = max(worth, key=lambda ids: worth[ids])
    return [token for token in best if token != END]


def search(model: Any, prompt: list[int], **options: Any) -> list[int]:
    reader = Reader(model, 50)
    return list(beam_search(reader, prompt, end=END, **options))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("boost", [0.0, 1.0, 3.0])
def test_a_wide_search_finds_what_trying_everything_finds(
    lively: Any, seed: int, boost: float
) -> None:
    model = lively(VOCAB, seed)
    with torch.no_grad():
        found = search(model, [0, 2], most=4, width=VOCAB**4, boost=boost)
        assert found == exhaustive(model, [0, 2], 4, boost)


def test_the_longer_text_wins_with_more_boost(lively: Any) -> None:
    model = lively(VOCAB)
    with torch.no_grad():  # the same shares everywhere, the end symbol twice as likely
        model.norm.weight.zero_()
        wanted = torch.tensor([0.2, 0.2, 0.2, 0.4]).log()
        model.norm.bias.copy_(model.embedding.weight.pinverse() @ wanted)
    assert search(model, [0], most=4, width=VOCAB**4, boost=0.0) == []
    # Three tokens, and the end symbol after them, are the longest there is.
    assert len(search(model, [0], most=4, width=VOCAB**4, boost=5.0)) == 3


@pytest.mark.parametrize("seed", range(3))
def test_one_beam_is_greedy(lively: Any, seed: int) -> None:
    model = lively(11, seed)
    ids = [1, 2]
    for _ in range(6):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    reader = Reader(model, 50)
    # No end symbol is ever likelier than what is likeliest: let there be none.
    found = list(beam_search(reader, [1, 2], end=-1, most=6, width=1, boost=1.0))
    assert found == ids[2:]


def test_more_beams_than_tokens_are_fine(lively: Any) -> None:
    found = search(lively(VOCAB), [0], most=1, width=100, boost=1.0)
    assert len(found) <= 1


def test_beams_go_on_past_the_context(lively: Any) -> None:
    model = lively(11, context=8)
    found = list(
        beam_search(Reader(model, 22), [1, 2], end=-1, most=20, width=3, boost=1.0)
    )
    assert len(found) == 20


def test_the_end_symbol_ends_and_is_not_given_out(lively: Any) -> None:
    model = lively(VOCAB)
    with torch.no_grad():
        model.norm.bias.copy_(model.embedding.weight[END] * 50)
    assert search(model, [0], most=5, width=3, boost=1.0) == []


def test_ids_come_as_soon_as_all_beams_agree() -> None:
    assert shared_start([[1, 2, 3], [1, 2, 4, 5], [1, 2]]) == [1, 2]
    assert shared_start([[1], [2]]) == []
    assert shared_start([[1, 2]]) == [1, 2]
