"""Batches by position: the same rows whenever, wherever and how often they are asked.

``dataset.batch(position)`` depends on the seed and the position alone, so a resumed
run, another number of devices and a test all see the same sequence.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from slangmod.data.order import draw_offset, draw_offsets, shuffled
from slangmod.data.rows import Rows, rows_of
from slangmod.data.shards import Encodings, check_fresh
from slangmod.data.stream import TokenStream
from slangmod.errors import DataError
from slangmod.settings.sections import Settings

IGNORE: Final = -100
"""Target where there is nothing to predict; it counts for neither loss nor tokens."""


AT_ONCE: Final = 1 << 16
"""Epochs whose mini-batches are counted at once."""

EXACT_EPOCHS: Final = 1000
"""So many epochs are counted one by one when a run is planned."""


class Batch(NamedTuple):
    """Rows to learn from: what the model sees, and what comes next."""

    inputs: Tensor
    """[batch, seq] int64 token ids"""
    targets: Tensor
    """[batch, seq] int64 token ids, IGNORE where there is nothing to predict"""


@dataclass(frozen=True, eq=False)
class TokenDataset:
    """Rows of token shards, in batches that are a pure function of (seed, position).

    Positions and epochs are those of the whole run. A stage of it begins at position
    ``first_batch``, after ``epochs_before`` epochs, of which the last may have been cut
    short; nothing is known of what came before.
    """

    tokens: TokenStream
    rows: Rows
    seq_len: int
    batch_size: int
    end: int
    seed: int
    jitter: int = 0
    shuffle: bool = False
    first_batch: int = 0
    epochs_before: int = 0
    part: int = 0
    parts: int = 1
    """which part of each mini-batch ``batch`` gives, and of how many equal ones"""
    _until: "array[int]" = field(
        default_factory=lambda: array("q"), init=False, repr=False
    )
    _sizes: dict[int, int] = field(default_factory=dict, init=False, repr=False)
    """mini-batches of an epoch by its offset"""
    _lock: RLock = field(default_factory=RLock, init=False, repr=False)
    """for ``_until``, which the thread that prepares batches fills, too"""

    def batch(self, position: int) -> Batch:
        """Mini-batch number ``position`` of the whole run, counted from 0.

        A short last mini-batch of an epoch is filled up with rows whose targets are
        all IGNORE, so that shapes never change. Of several parts, part r has the rows
        from ``r * batch_size / parts`` on.
        """
        _, starts, targets = self.places(position)
        own = slice(self.part * self._rows, (self.part + 1) * self._rows)
        return self._gather(starts[own], targets[own])

    def tokens_of(self, positions: Iterable[int]) -> list[int] | None:
        """Target tokens of the whole mini-batches at ``positions``; none is read.

        None where there are no parts: what ``batch`` gives can be counted.
        """
        if self.parts == 1:
            return None
        return [sum(self.places(position)[2]) for position in positions]

    def part_of(self, part: int, parts: int) -> "TokenDataset":
        """The same rows, of which ``batch`` gives one of several parts."""
        return replace(self, part=part, parts=parts)

    @property
    def _rows(self) -> int:
        return self.batch_size // self.parts

    def places(self, position: int) -> tuple[list[int], list[int], list[int]]:
        """The rows of that mini-batch, and where in the stream of tokens they lie.

        -> number of each row in its epoch, its first token, how many targets it has.
        """
        epoch, place = self.locate(position)
        offset = self.offset(epoch)
        count = self.rows.count(offset)
        places = np.arange(place * self.batch_size, (place + 1) * self.batch_size)
        places = places[places < count]
        if self.shuffle:
            places = shuffled(places, count, self.seed, epoch)
        starts, targets = self.rows.spans(places, offset)
        return places.tolist(), starts.tolist(), targets.tolist()

    def offset(self, epoch: int) -> int:
        """By how many tokens the rows of ``epoch`` (from 1) are moved."""
        return draw_offset(self.jitter, self.seed, epoch)

    def batches_in(self, epoch: int) -> int:
        """Number of mini-batches of ``epoch``, counted from 1."""
        return self._batches_at(self.offset(epoch))

    def _batches_at(self, offset: int) -> int:
        if offset not in self._sizes:
            self._sizes[offset] = -(-self.rows.count(offset) // self.batch_size)
        return self._sizes[offset]

    def batches_until(self, epoch: int) -> int:
        """Number of mini-batches of the run up to and including ``epoch``.

        For an epoch before the first of these rows, what was done when they began.
        """
        own = epoch - self.epochs_before
        with self._lock:
            while (known := len(self._until)) < own:
                before = self._until[-1] if self._until else self.first_batch
                ahead = np.arange(known, min(own, known + AT_ONCE)) + 1
                offsets = draw_offsets(
                    self.jitter, self.seed, ahead + self.epochs_before
                )
                kinds, each = np.unique(offsets, return_inverse=True)
                sizes = np.array([self._batches_at(int(kind)) for kind in kinds])
                self._until.extend((before + np.cumsum(sizes[each])).tolist())
        return self._until[own - 1] if own > 0 else self.first_batch

    def batches_planned(self, epochs: int) -> int:
        """Number of mini-batches of the first ``epochs`` epochs of these rows.

        Known at once however many are allowed: beyond EXACT_EPOCHS, each counts as
        much as one that jitter has not shortened.
        """
        counted = min(epochs, EXACT_EPOCHS)
        exact = self.batches_until(self.epochs_before + counted) - self.first_batch
        return exact + (epochs - counted) * self.most_in_epoch

    @property
    def most_in_epoch(self) -> int:
        """Number of mini-batches of an epoch that jitter has not shortened."""
        return -(-self.rows.count(0) // self.batch_size)

    def locate(self, position: int) -> tuple[int, int]:
        """Epoch (from 1) and place within it (from 0) of a mini-batch of the run."""
        while not self._until or self._until[-1] <= position:
            self.batches_until(self.epochs_before + len(self._until) + 1)
        epoch = self.epochs_before + bisect_right(self._until, position) + 1
        return epoch, position - self.batches_until(epoch - 1)

    def _gather(self, starts: list[int], targets: list[int]) -> Batch:
        shape = (self._rows, self.seq_len)
        inputs = np.full(shape, self.end, np.int64)
        outputs = np.full(shape, IGNORE, np.int64)
        row = np.empty(self.seq_len + 1, np.int64)
        for index, (start, length) in enumerate(zip(starts, targets, strict=True)):
            piece = row[: length + 1]
            self.tokens.copy_to(piece, start)
            inputs[index, :length] = piece[:-1]
            outputs[index, :length] = piece[1:]
        return Batch(torch.from_numpy(inputs), torch.from_numpy(outputs))


def open_dataset(settings: Settings, split: str) -> TokenDataset:
    """The rows of one split, ``train``, ``test`` or ``validation``.

    Only training rows overlap, jitter and are shuffled: an evaluation is always over
    the same rows. Raises DataError where encodings are missing, stale or too short.
    """
    encodings = check_fresh(settings)
    return dataset_of(encodings, settings, split, training=split == "train")


def dataset_of(
    encodings: Encodings, settings: Settings, split: str, *, training: bool
) -> TokenDataset:
    """Rows of ``split`` to learn from or to evaluate on, from fresh encodings."""
    data = settings.data
    tokens = TokenStream(encodings.shard_paths(split), encodings.manifest.dtype)
    if len(tokens) < 2:
        raise DataError(
            f"the {split} split holds {len(tokens)} tokens: at least 2 are needed; "
            "add text and repeat `slangmod clean tokenize encode`"
        )
    rows = rows_of(encodings, data, split, training=training)
    if not rows.count(0):
        raise DataError(f"no document of the {split} split has a token to predict")
    return TokenDataset(
        tokens,
        rows,
        data.seq_len,
        settings.train.batch_size,
        encodings.manifest.end,
        settings.seed,
        data.jitter if training else 0,
        data.shuffle and training,
    )
