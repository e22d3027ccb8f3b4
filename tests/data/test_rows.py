"""Rows cover the stream: which tokens are targets, and how often."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slangmod.data.rows import ConcatRows, PaddedRows, rows_of
from slangmod.data.windows import stride_of
from slangmod.settings.sections import Data


def targets_of(rows, offset: int) -> Counter:
    """How often each token of the stream is a target in one epoch."""
    count = rows.count(offset)
    starts, lengths = rows.spans(np.arange(count), offset)
    assert (lengths >= 1).all()
    assert (lengths <= rows.seq_len).all()
    return Counter(
        start + 1 + place
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
        for place in range(length)
    )


@given(
    tokens=st.integers(2, 300), seq_len=st.integers(1, 40), offset=st.integers(0, 60)
)
def test_without_overlap_each_token_behind_the_offset_is_a_target_once(
    tokens: int, seq_len: int, offset: int
) -> None:
    rows = ConcatRows(tokens, seq_len, seq_len)
    found = targets_of(rows, offset)
    skipped = min(offset, tokens - 2)
    assert found == Counter(range(skipped + 1, tokens))


@given(
    tokens=st.integers(2, 300),
    seq_len=st.integers(2, 40),
    overlap=st.integers(1, 39),
    offset=st.integers(0, 60),
)
def test_with_overlap_no_token_is_left_out(
    tokens: int, seq_len: int, overlap: int, offset: int
) -> None:
    rows = ConcatRows(tokens, seq_len, stride_of(seq_len, min(overlap, seq_len - 1)))
    skipped = min(offset, tokens - 2)
    assert set(targets_of(rows, offset)) == set(range(skipped + 1, tokens))


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=20),
    seq_len=st.integers(1, 20),
    offset=st.integers(0, 30),
)
def test_padded_rows_stay_within_documents(
    lengths: list[int], seq_len: int, offset: int
) -> None:
    ends = np.cumsum(lengths)
    rows = PaddedRows(ends, seq_len, seq_len)
    found = targets_of(rows, offset)
    assert max(found.values(), default=1) == 1
    begins = np.concatenate(([0], ends[:-1]))
    assert not set(begins.tolist()) & set(found)
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        missed = set(range(begin + 1, end)) - set(found)
        moved = max(0, min(offset, end - begin - 1 - seq_len))
        assert missed == set(range(begin + 1, begin + 1 + moved))


def test_masked_documents_lie_in_rows_as_unmasked_ones_do() -> None:
    shards = [SimpleNamespace(tokens=40), SimpleNamespace(tokens=7)]
    splits = {"train": SimpleNamespace(shards=shards)}
    encodings: Any = SimpleNamespace(manifest=SimpleNamespace(splits=splits))
    one, other = (
        rows_of(encodings, Data(seq_len=8, packing=kind), "train", training=True)
        for kind in ("concat", "mask")
    )
    assert one == other == ConcatRows(47, 8, 8)


@pytest.mark.parametrize(
    ("seq_len", "overlap", "stride"),
    [(512, 0, 512), (512, 0.25, 384), (512, 128, 384), (3, 0.5, 1), (2, 0.9, 1)],
)
def test_overlap_is_a_share_or_a_number(
    seq_len: int, overlap: float, stride: int
) -> None:
    assert stride_of(seq_len, overlap) == stride
