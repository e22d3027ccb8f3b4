"""Mini-batches made ready ahead, while the device is busy with the one before."""

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import torch

from slangmod.data.dataset import Batch, TokenDataset


class Feed:
    """Batches of a dataset by position, the next of them always under way.

    What is made ready is a pure function of the position, so that a jump (a resume)
    costs the one batch prepared in vain and nothing else.
    """

    def __init__(self, dataset: TokenDataset, device: torch.device) -> None:
        self._dataset = dataset
        self._pinned = device.type == "cuda"
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._ready: tuple[int, Future[Batch]] | None = None

    def __enter__(self) -> Self:
        """Use as a context, which ends the thread."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the thread; what it prepares is dropped, and waited for in peace only."""
        broken_off = error is not None and not isinstance(error, Exception)
        self._worker.shutdown(wait=not broken_off, cancel_futures=True)

    def batch(self, position: int) -> Batch:
        """The batch at ``position``, in host memory (pinned for CUDA)."""
        if self._ready is None or self._ready[0] != position:
            self._ready = (position, self._worker.submit(self._prepare, position))
        batch = self._ready[1].result()
        self._ready = (position + 1, self._worker.submit(self._prepare, position + 1))
        return batch

    def _prepare(self, position: int) -> Batch:
        batch = self._dataset.batch(position)
        return Batch(*(t.pin_memory() for t in batch)) if self._pinned else batch


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch on ``device``; the copy overlaps with work already queued there."""
    return Batch(*(tensor.to(device, non_blocking=True) for tensor in batch))
