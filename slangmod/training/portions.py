"""The rows of a step in portions: as many as are computed at a time.

A mini-batch is what rows are counted and shuffled in; how many of them fit into memory
is another matter. Several may be computed at once, or one in parts.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from slangmod.data.dataset import Batch


class Portion(NamedTuple):
    """What is computed at once."""

    batch: Batch
    places: range
    """of the mini-batches that it is of, within the step"""
    first: bool
    """whether it has the first rows of those"""
    last: bool
    """whether none of the step follows"""


def portions(batches: Sequence[Batch], rows: int | None) -> Iterator[Portion]:
    """All rows of the mini-batches of a step, in order, ``rows`` at a time.

    Of mini-batches as they are where ``rows`` is None, else as many whole ones as have
    no more rows, or parts of one. The last portion may have fewer.
    """
    size = len(batches[0].inputs)
    if rows is None or rows >= size:
        several = 1 if rows is None else rows // size
        for place in range(0, len(batches), several):
            group = batches[place : place + several]
            end = place + len(group)
            yield Portion(joined(group), range(place, end), True, end == len(batches))
        return
    for place, batch in enumerate(batches):
        for start in range(0, size, rows):
            part = Batch(*(tensor[start : start + rows] for tensor in batch))
            last = place + 1 == len(batches) and start + rows >= size
            yield Portion(part, range(place, place + 1), start == 0, last)


def joined(batches: Sequence[Batch]) -> Batch:
    """One batch of all rows."""
    if len(batches) == 1:
        return batches[0]
    return Batch(*(torch.cat(tensors) for tensors in zip(*batches, strict=True)))


def of_rows(batch: Batch, rows: int | None) -> Batch:
    """A batch like ``batch`` with as many rows as a portion of it has, some twice."""
    if rows is None:
        return batch
    times = -(-rows // len(batch.inputs))
    return Batch(*(tensor.repeat(times, 1)[:rows] for tensor in batch))
