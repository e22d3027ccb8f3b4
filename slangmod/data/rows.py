"""The two ways to lay documents into rows: one stream, or each by itself."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from slangmod.data.shards import Encodings
from slangmod.data.windows import (
    count_rows,
    document_offsets,
    stream_offset,
    stride_of,
)
from slangmod.settings.sections import Data

Integers = NDArray[np.int64]


class Rows(Protocol):
    """Where the rows of an epoch lie in the stream of all tokens."""

    def count(self, offset: int) -> int:
        """Number of rows when the epoch's offset is ``offset`` tokens."""

    def spans(self, rows: Integers, offset: int) -> tuple[Integers, Integers]:
        """First token and number of targets of each of ``rows``, both [n]."""


@dataclass(frozen=True)
class ConcatRows:
    """Rows run on across documents; only the end symbol tells them apart."""

    tokens: int
    seq_len: int
    stride: int

    def count(self, offset: int) -> int:
        """Number of rows of the stream behind ``offset``."""
        left = self.tokens - stream_offset(offset, self.tokens)
        return int(count_rows(np.asarray(left), self.seq_len, self.stride))

    def spans(self, rows: Integers, offset: int) -> tuple[Integers, Integers]:
        """First token and number of targets of each of ``rows``, both [n]."""
        starts = stream_offset(offset, self.tokens) + rows * self.stride
        return starts, np.minimum(self.seq_len, self.tokens - 1 - starts)


@dataclass(frozen=True, eq=False)
class PaddedRows:
    """Each document has rows of its own, the last of them padded.

    ``ends`` [documents] holds the index just past each document's end symbol. The
    table of an epoch takes 8 bytes a document.
    """

    ends: Integers
    seq_len: int
    stride: int

    def count(self, offset: int) -> int:
        """Number of rows of all documents."""
        table = _rows_until(self, offset)
        return int(table[-1]) if len(table) else 0

    def spans(self, rows: Integers, offset: int) -> tuple[Integers, Integers]:
        """First token and number of targets of each of ``rows``, both [n]."""
        until = _rows_until(self, offset)
        document = np.searchsorted(until, rows, side="right")
        first_row = np.where(document > 0, until[document - 1], 0)
        begin = np.where(document > 0, self.ends[document - 1], 0)
        moved = document_offsets(offset, self.ends[document] - begin, self.seq_len)
        starts = begin + moved + (rows - first_row) * self.stride
        return starts, np.minimum(self.seq_len, self.ends[document] - 1 - starts)


@lru_cache(maxsize=2)
def _rows_until(rows: PaddedRows, offset: int) -> Integers:
    """Number of rows up to and including each document, [documents]."""
    tokens = np.diff(rows.ends, prepend=0)
    tokens = tokens - document_offsets(offset, tokens, rows.seq_len)
    return np.cumsum(count_rows(tokens, rows.seq_len, rows.stride))


def rows_of(encodings: Encodings, data: Data, split: str, *, training: bool) -> Rows:
    """The rows of ``split`` as ``data`` cuts them; only those to learn from overlap."""
    stride = stride_of(data.seq_len, data.overlap if training else 0)
    if data.packing == "pad":
        return PaddedRows(encodings.document_ends(split), data.seq_len, stride)
    size = sum(shard.tokens for shard in encodings.manifest.splits[split].shards)
    return ConcatRows(size, data.seq_len, stride)
