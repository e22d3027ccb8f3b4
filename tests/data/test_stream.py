"""Shards read as one array, and hold no memory for it."""

import numpy as np
import pytest

from slangmod.data import stream


def test_shards_read_as_one_array(make_tokens) -> None:
    tokens = make_tokens([[0, 1, 2], [], [3], [4, 5, 6, 7]])
    assert len(tokens) == 8
    for start in range(8):
        for length in range(1, 9 - start):
            out = np.empty(length, np.int64)
            tokens.copy_to(out, start)
            assert out.tolist() == list(range(start, start + length))


def test_releasing_pages_changes_nothing(make_tokens, monkeypatch) -> None:
    monkeypatch.setattr(stream, "RELEASE_AFTER", 1)
    tokens = make_tokens([list(range(5000))])
    out = np.empty(5000, np.int64)
    for _ in range(3):
        tokens.copy_to(out, 0)
        assert out.tolist() == list(range(5000))


def test_no_shard_is_an_empty_array(make_tokens) -> None:
    assert len(make_tokens([[]])) == 0


def test_a_read_past_the_end_fails(make_tokens) -> None:
    with pytest.raises(IndexError):
        make_tokens([[1, 2]]).copy_to(np.empty(3, np.int64), 0)
