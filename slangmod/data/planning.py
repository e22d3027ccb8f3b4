"""How many mini-batches there are, known from a manifest before any id is read."""

from collections.abc import Callable

from slangmod.data.order import draw_offset
from slangmod.data.rows import Rows, rows_of
from slangmod.data.shards import Encodings
from slangmod.settings.sections import Data, Settings


def batches_of(encodings: Encodings) -> Callable[[Settings, int], int]:
    """Settings of a stage, number of an epoch (from 1) -> its mini-batches."""
    known: dict[Data, Rows] = {}

    def batches_in(settings: Settings, epoch: int) -> int:
        data = settings.data
        if data not in known:
            known[data] = rows_of(encodings, data, "train", training=True)
        offset = draw_offset(data.jitter, settings.seed, epoch)
        return -(-known[data].count(offset) // settings.train.batch_size)

    return batches_in
