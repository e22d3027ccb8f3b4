"""What a machine can do: products of matrices, memory, and steps of a given model."""

from dataclasses import dataclass
from typing import Final

import torch

from slangmod.training.peak import measured, shortest

LONG: Final = 0.5
"""Seconds for which each product, and the copy, is repeated."""
COPIED: Final = 1 << 28
"""Bytes that are copied: more than caches hold."""


@dataclass(frozen=True)
class Speeds:
    """How fast a device is, whatever is trained there."""

    float32: float
    """FLOP/s of matrix products"""
    bfloat16: float
    bytes_per_second: float
    """of memory, read and written"""


def speeds_of(device: torch.device) -> Speeds:
    """Measure ``device``; takes a few seconds."""
    threads = torch.get_num_threads()
    products = {
        precision: measured(device, precision, threads, LONG)
        for precision in ("float32", "bfloat16")
    }
    return Speeds(**products, bytes_per_second=bandwidth(device))


def bandwidth(device: torch.device) -> float:
    """Bytes per second that are read and written when a large tensor is copied."""
    source = torch.zeros(COPIED, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)

    def copy() -> None:
        target.copy_(source)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    copy()
    return 2 * COPIED / shortest(copy, LONG)
