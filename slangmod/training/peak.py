"""How many floating-point operations a device could do in a second, at the very most.

Of GPUs that are known it stands in a table; of all else, CPUs among it, a short matrix
product tells. No chance is drawn from anywhere, so that nothing else is changed by it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from slangmod.training.device import DTYPES

BF16, TF32, FP32 = KINDS = ("bfloat16", "tf32", "float32")
"""Of matrix products: tensor cores in bfloat16; in tf32, which torch takes for float32
where it is allowed; float32 proper."""

KNOWN: Final[dict[str, tuple[float, float, float]]] = {
    "H100 80GB HBM3": (989.4, 494.7, 66.9),
    "H100 PCIe": (756.5, 378.0, 51.2),
    "H100 NVL": (835.5, 417.5, 60.0),
    "H200": (989.4, 494.7, 66.9),
    "GH200 480GB": (989.4, 494.7, 66.9),
    "H800": (989.4, 494.7, 66.9),
    "H20": (148.0, 74.0, 44.0),
    "B200": (2250.0, 1125.0, 75.0),
    "A100-SXM4-40GB": (312.0, 156.0, 19.5),
    "A100-SXM4-80GB": (312.0, 156.0, 19.5),
    "A100-PCIE-40GB": (312.0, 156.0, 19.5),
    "A100 80GB PCIe": (312.0, 156.0, 19.5),
    "A800-SXM4-80GB": (312.0, 156.0, 19.5),
    "A30": (165.0, 82.0, 10.3),
    "A40": (149.7, 74.8, 37.4),
    "A10": (125.0, 62.5, 31.2),
    "L4": (121.0, 60.0, 30.3),
    "L40": (181.0, 90.5, 90.5),
    "L40S": (362.0, 183.0, 91.6),
    "RTX A6000": (154.8, 77.4, 38.7),
    "GeForce RTX 3090": (71.0, 35.6, 35.6),
    "GeForce RTX 4090": (165.2, 82.6, 82.6),
    "GeForce RTX 5090": (209.5, 104.8, 104.8),
}
"""TFLOP/s by KINDS, dense, sums in float32, from NVIDIA's data sheets; by the name that
the driver has for the whole card. One of another name, be it a part, is measured."""

SHAPES: Final = (
    (256, 256, 256),
    (1024, 256, 512),
    (2048, 256, 1024),
    (1024, 1024, 1024),
)
"""Rows, sums and columns of the products that are tried, larger and larger: from one
that fits into caches to one of a large model."""

LARGER: Final = {"cuda": 4}
"""How many times as large they are in each direction, by kind of device."""

BRIEF: Final = 0.01
"""Seconds for which each product is repeated; at least twice after the first."""

ENOUGH: Final = 0.2
"""A product that takes this share of those seconds keeps the device busy: no larger one
is tried, which would be no faster and only take longer."""


@dataclass(frozen=True)
class Peak:
    """What a device could do, and how that is known."""

    flops: float
    """a second"""
    source: str
    """such as "data sheet of H200, bfloat16" or "measured, bfloat16, 2 threads" """


def peak_of(device: torch.device, precision: str) -> Peak:
    """The peak of ``device`` for products in ``data.precision``; measured once."""
    kind = kind_of(device, precision)
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device).removeprefix("NVIDIA ")
        if name in KNOWN:
            flops = KNOWN[name][KINDS.index(kind)] * 1e12
            return Peak(flops, f"data sheet of {name}, {kind}")
        return Peak(measured(device, precision, 0, BRIEF), f"measured, {kind}")
    threads = torch.get_num_threads()
    source = f"measured, {kind}, {threads} thread{'s' * (threads != 1)}"
    return Peak(measured(device, precision, threads, BRIEF), source)


def kind_of(device: torch.device, precision: str) -> str:
    """Which of KINDS torch computes ``precision`` by."""
    if precision == "bfloat16":
        return BF16
    allowed = (
        device.type == "cuda" and torch.get_float32_matmul_precision() != "highest"
    )
    return TF32 if allowed else FP32


@lru_cache
def measured(
    device: torch.device, precision: str, threads: int, seconds: float
) -> float:
    """FLOP/s of the fastest product, each repeated for ``seconds``.

    ``threads`` is how many there are: with others it is measured anew.
    """
    del threads
    size, best = LARGER.get(device.type, 1), 0.0
    for shape in SHAPES:
        rows, inner, columns = (size * side for side in shape)
        took = fastest(device, precision, (rows, inner, columns), seconds)
        best = max(best, 2.0 * rows * inner * columns / took)
        if took >= ENOUGH * seconds:
            break
    return best


def fastest(
    device: torch.device, precision: str, shape: tuple[int, ...], seconds: float
) -> float:
    """Seconds of the fastest of some products of ``shape``."""
    rows, inner, columns = shape
    left = filled((rows, inner), precision, device)
    right = filled((inner, columns), precision, device)
    out = left @ right  # which also loads the kernel

    def product() -> None:
        torch.mm(left, right, out=out)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return shortest(product, seconds)


def filled(shape: tuple[int, int], precision: str, device: torch.device) -> Tensor:
    """A matrix of numbers in -1 .. 1, always the same."""
    numbers = torch.linspace(-1, 1, shape[0] * shape[1], device=device)
    return numbers.view(shape).to(DTYPES[precision])


def shortest(work: Callable[[], None], seconds: float) -> float:
    """Seconds of the fastest of at least two times, for so long altogether."""
    times: list[float] = []
    while len(times) < 2 or sum(times) < seconds:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return max(min(times), 1e-9)
