"""Batches are a pure function of (seed, position) and leave no row out."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from slangmod.data.dataset import IGNORE, TokenDataset
from slangmod.data.rows import ConcatRows, PaddedRows


def dataset(make_tokens, *, jitter=0, shuffle=False, size=103, batch=4, seq=5, seed=9):
    tokens = make_tokens([list(range(40)), list(range(40, size))])
    rows = ConcatRows(size, seq, seq)
    return TokenDataset(tokens, rows, seq, batch, 65535, seed, jitter, shuffle)


def test_rows_of_the_stream_in_order(make_tokens) -> None:
    data = dataset(make_tokens)
    batch = data.batch(0)
    assert batch.inputs.dtype == batch.targets.dtype == torch.int64
    assert batch.inputs.shape == batch.targets.shape == (4, 5)
    assert batch.inputs.flatten().tolist() == list(range(20))
    assert batch.targets.flatten().tolist() == list(range(1, 21))


def test_a_short_last_batch_is_filled_with_ignored_rows(make_tokens) -> None:
    data = dataset(make_tokens)
    assert data.batches_in(1) == 6
    last = data.batch(5)
    assert last.inputs.shape == (4, 5)
    assert last.targets[0].tolist() == [101, 102, IGNORE, IGNORE, IGNORE]
    assert (last.targets[1:] == IGNORE).all()


@pytest.mark.parametrize("jitter", [0, 1, 7])
def test_each_epoch_shows_each_token_once_but_the_first_few(
    make_tokens, jitter: int
) -> None:
    data = dataset(make_tokens, jitter=jitter, shuffle=True)
    for epoch in range(1, 8):
        found = Counter()
        for position in range(data.batches_until(epoch - 1), data.batches_until(epoch)):
            targets = data.batch(position).targets
            found.update(targets[targets != IGNORE].tolist())
        assert set(found.values()) == {1}
        missed = set(range(103)) - set(found)
        assert missed == set(range(data.offset(epoch) + 1))
        assert len(missed) <= max(1, jitter)


def test_targets_follow_inputs(make_tokens) -> None:
    data = dataset(make_tokens, jitter=7, shuffle=True)
    for position in range(30):
        inputs, targets = data.batch(position)
        known = targets != IGNORE
        assert (targets[known] == inputs[known] + 1).all()


def test_a_batch_depends_on_seed_and_position_alone(make_tokens) -> None:
    one = dataset(make_tokens, jitter=7, shuffle=True)
    other = dataset(make_tokens, jitter=7, shuffle=True)
    forwards = [one.batch(position) for position in range(40)]
    backwards = [other.batch(position) for position in reversed(range(40))][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        assert torch.equal(a.inputs, b.inputs)
        assert torch.equal(a.targets, b.targets)
    elsewhere = dataset(make_tokens, jitter=7, shuffle=True, seed=10)
    assert not torch.equal(elsewhere.batch(0).inputs, forwards[0].inputs)


def test_rows_are_shuffled_one_by_one_not_as_batches(make_tokens) -> None:
    data = dataset(make_tokens, shuffle=True, size=401)
    companies = [
        frozenset(row[0] for row in data.batch(position).inputs.tolist())
        for position in range(2 * data.batches_in(1))
    ]
    assert len(set(companies)) == len(companies)


def test_positions_find_their_epoch(make_tokens) -> None:
    data = dataset(make_tokens, jitter=7, shuffle=True)
    position = 0
    for epoch in range(1, 6):
        for place in range(data.batches_in(epoch)):
            assert data.locate(position) == (epoch, place)
            position += 1


def test_padded_documents_never_share_a_row(make_tokens) -> None:
    tokens = make_tokens([[1, 1, 1, 0, 2, 2, 0, 3, 0]])
    rows = PaddedRows(torch.tensor([4, 7, 9]).numpy(), 5, 5)
    data = TokenDataset(tokens, rows, 5, 3, 0, 1)
    inputs, targets = data.batch(0)
    assert inputs.tolist() == [[1, 1, 1, 0, 0], [2, 2, 0, 0, 0], [3, 0, 0, 0, 0]]
    assert targets.tolist() == [
        [1, 1, 0, IGNORE, IGNORE],
        [2, 0, IGNORE, IGNORE, IGNORE],
        [0, IGNORE, IGNORE, IGNORE, IGNORE],
    ]


def test_a_plan_is_made_at_once_however_many_epochs_are_allowed(make_tokens) -> None:
    data = dataset(make_tokens, jitter=4)
    assert data.batches_planned(30) == data.batches_until(30)
    assert data.batches_planned(10**12) >= 10**12


def test_two_threads_may_ask_for_epochs(make_tokens) -> None:
    data, alone = (dataset(make_tokens, jitter=4) for _ in range(2))
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(data.locate, list(range(0, 4000, 7)) * 2))
    assert found == [alone.locate(place) for place in range(0, 4000, 7)] * 2


@pytest.mark.parametrize(("first", "epochs"), [(0, 0), (17, 3), (40, 1)])
def test_a_stage_goes_on_counting_and_begins_with_a_new_epoch(
    make_tokens, first: int, epochs: int
) -> None:
    whole = dataset(make_tokens, jitter=7, shuffle=True)
    data = replace(whole, first_batch=first, epochs_before=epochs)
    assert data.batches_until(epochs) == first
    position = first
    for epoch in range(epochs + 1, epochs + 5):
        before = whole.batches_until(epoch - 1)
        for place in range(data.batches_in(epoch)):
            assert data.locate(position) == (epoch, place)
            same = whole.batch(before + place)
            assert torch.equal(data.batch(position).inputs, same.inputs)
            position += 1
        assert data.batches_until(epoch) == position
    assert data.batches_planned(4) == position - first


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("position", [0, 5, 6, 17])
def test_parts_of_a_mini_batch_are_its_rows_in_order(
    make_tokens, parts: int, position: int
) -> None:
    whole = dataset(make_tokens, jitter=7, shuffle=True)
    each = [whole.part_of(part, parts).batch(position) for part in range(parts)]
    for side, expected in enumerate(whole.batch(position)):
        assert torch.equal(torch.cat([batch[side] for batch in each]), expected)


def test_a_part_knows_the_tokens_of_the_whole(make_tokens) -> None:
    whole = dataset(make_tokens, jitter=7, shuffle=True)
    assert whole.tokens_of(range(3)) is None
    counted = [int((whole.batch(n).targets != IGNORE).sum()) for n in range(13)]
    assert len(set(counted)) > 1
    for part in (0, 1):
        assert whole.part_of(part, 2).tokens_of(range(13)) == counted


def test_parts_count_mini_batches_and_epochs_as_the_whole(make_tokens) -> None:
    whole = dataset(make_tokens, jitter=7, shuffle=True)
    part = whole.part_of(1, 2)
    for epoch in (1, 2, 5):
        assert part.batches_until(epoch) == whole.batches_until(epoch)
    assert part.places(7) == whole.places(7)
    assert part.part_of(0, 1).batch(7).inputs.tolist() == whole.batch(7).inputs.tolist()
