"""Numbers on their way from the device, to be read without waiting for it."""

from typing import Any

import torch
from torch import Tensor


class Reading:
    """A copy of numbers as they are now; the device goes on with its work."""

    def __init__(self, numbers: Tensor) -> None:
        self._event: Any = None
        self._numbers = numbers
        if numbers.device.type == "cuda":
            self._numbers = torch.empty_like(numbers, device="cpu", pin_memory=True)
            self._numbers.copy_(numbers, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()

    def numbers(self) -> Tensor:
        """The numbers, in host memory; waits only for what was queued before them."""
        if self._event is not None:
            self._event.synchronize()
        return self._numbers
