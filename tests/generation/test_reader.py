from typing import Any

import pytest
import torch

from slangmod.generation.reader import Reader, lay_out_for_reading, window_start
from slangmod.model.decoding import Decoder
from slangmod.model.positions import POSITIONS


@pytest.mark.parametrize("context", [2, 3, 8, 9])
def test_the_window_is_full_or_begins_again_with_half(context: int) -> None:
    """The rule, one token after the other: at the limit, keep the last half."""
    start = 0
    for seen in range(1, 5 * context):
        if seen - start > context:
            start = seen - context // 2
        assert window_start(seen, context) == start


@pytest.mark.parametrize("kind", POSITIONS)
def test_reading_on_equals_reading_anew_across_the_limit(
    lively: Any, kind: str
) -> None:
    context = 8
    model = lively(positions=kind, context=context)
    ids = torch.randint(11, (2, 30))
    reader = Reader(model, 30)
    place = 0
    for size in (3, *[1] * 12, 5, *[1] * 10):
        logits = reader.read(ids[:, place : place + size])
        place += size
        anew = model(ids[:, window_start(place, context) : place])[:, -1]
        torch.testing.assert_close(logits, anew)
    assert place == 30


def test_how_tokens_are_cut_into_reads_makes_no_difference(lively: Any) -> None:
    model = lively(context=8)
    ids = torch.randint(11, (1, 21))
    readers = [Reader(model, 21) for _ in range(3)]
    pieces = ([21], [1] * 21, [9, 4, 8])
    last = []
    for reader, sizes in zip(readers, pieces, strict=True):
        for new in ids.split(sizes, dim=1):
            logits = reader.read(new)
        last.append(logits)
    torch.testing.assert_close(last[0], last[1])
    torch.testing.assert_close(last[0], last[2])


def threads_of_reads(monkeypatch: Any, model: Any, rows: int, *, alone: bool) -> list:
    """Threads while a prompt of three tokens is read, and while the fourth is."""
    threads = []

    def told(method: Any) -> Any:
        def read(*words: Any) -> Any:
            threads.append(torch.get_num_threads())
            return method(*words)

        return read

    monkeypatch.setattr(type(model), "hidden", told(type(model).hidden))
    monkeypatch.setattr(Decoder, "read", told(Decoder.read))
    reader = Reader(model, 8, alone=alone)
    for size in (3, 1):
        reader.read(torch.ones(rows, size, dtype=torch.int64))
    return threads


def test_a_single_token_is_read_by_one_thread_where_that_is_left_to_it(
    lively: Any, monkeypatch: Any
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert threads_of_reads(monkeypatch, lively(), 1, alone=True) == [2, 1]
        assert torch.get_num_threads() == 2
        assert threads_of_reads(monkeypatch, lively(), 1, alone=False)[-2:] == [2, 2]
        assert threads_of_reads(monkeypatch, lively(), 3, alone=True)[-2:] == [2, 2]
    finally:
        torch.set_num_threads(before)


def test_selected_sequences_are_read_on_across_the_limit(lively: Any) -> None:
    model = lively(context=8)
    ids = torch.randint(11, (2, 7))
    reader = Reader(model, 20)
    reader.read(ids)
    rows = torch.tensor([1, 1, 0])
    reader.select(rows)
    seen = ids[rows]
    for _ in range(6):
        new = torch.randint(11, (3, 1))
        seen = torch.cat((seen, new), dim=1)
        start = window_start(seen.shape[1], 8)
        torch.testing.assert_close(reader.read(new), model(seen[:, start:])[:, -1])


def test_reading_takes_no_more_room_than_asked_for(lively: Any) -> None:
    reader = Reader(lively(context=64), 9)
    reader.read(torch.zeros(1, 4, dtype=torch.int64))
    assert reader.cache is not None
    assert reader.cache.keys[0].shape[2] == 9


def test_laying_out_leaves_values_alone(lively: Any) -> None:
    model = lively()
    before = {name: w.clone() for name, w in model.state_dict().items()}
    logits = model(torch.arange(5)[None])
    assert lay_out_for_reading(model) is model
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    torch.testing.assert_close(model(torch.arange(5)[None]), logits)
