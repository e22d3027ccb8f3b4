"""From a stream of tokens to rows: where each row starts, and what it may predict.

A row of ``seq_len + 1`` tokens gives ``seq_len`` inputs and the targets one further.
Rows start ``stride`` tokens apart, from an offset that jitter moves each epoch. The
last row is as long as the stream leaves it. All of it is arithmetic.
"""

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def stride_of(seq_len: int, overlap: float) -> int:
    """Tokens from one row's start to the next; at least 1.

    ``overlap`` is a share of ``seq_len`` below 1, else a number of tokens.
    """
    tokens = round(seq_len * overlap) if overlap < 1 else int(overlap)
    return max(1, seq_len - tokens)


def count_rows(tokens: Integers, seq_len: int, stride: int) -> Integers:
    """How many rows it takes until each but the first token has been a target.

    ``tokens`` holds lengths of streams; one of fewer than 2 tokens has no row.
    """
    targets = np.maximum(tokens - 1, 0)
    further = -(-np.maximum(targets - seq_len, 0) // stride)
    return np.where(targets > 0, 1 + further, 0)


def stream_offset(offset: int, tokens: int) -> int:
    """The epoch's offset into one stream, less where it would leave no target."""
    return min(offset, max(0, tokens - 2))


def document_offsets(offset: int, tokens: Integers, seq_len: int) -> Integers:
    """The epoch's offset into each document of its own rows.

    It goes no further than leaves a full row: a document that fits into one row is
    always seen whole.
    """
    return np.minimum(offset, np.maximum(tokens - 1 - seq_len, 0))
