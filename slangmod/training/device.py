"""Where to compute, and what is fixed there before the first step."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from slangmod.errors import SettingsError


def choose_device(wanted: str | None, seat: int | None = None) -> torch.device:
    """The device of ``data.device``: CUDA if there is one and nothing is said.

    ``seat`` is the number of this process among those of its machine, where torchrun
    has started it: each takes the GPU of that number. Raises SettingsError, naming
    what is there, if it is not to be had.
    """
    device = device_called(wanted)
    if seat is None or device.type == "cpu":
        return device
    if device.type != "cuda":
        raise SettingsError(
            f'data.device = "{device}": processes that train together are on "cuda" or '
            '"cpu"; choose one of them'
        )
    count = torch.cuda.device_count()
    if seat >= count:
        raise SettingsError(
            f"process {seat + 1} of this machine has no GPU: there are {count}; start "
            f'torchrun with --nproc-per-node {count}, or set data.device to "cpu"'
        )
    if device.index not in (None, seat):
        raise SettingsError(
            f'data.device = "{device}": processes that train together take a GPU each; '
            'leave it out, or set it to "cuda"'
        )
    return torch.device("cuda", seat)


def device_called(wanted: str | None) -> torch.device:
    """The device of that name, the best for None; SettingsError if it is not there."""
    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = ["cpu", *(f"cuda:{index}" for index in range(cuda))]
    if torch.backends.mps.is_available():
        there.append("mps")
    try:
        device = torch.device(wanted or ("cuda" if cuda else "cpu"))
    except RuntimeError:
        device = None
    if device is None or not any(name.startswith(str(device)) for name in there):
        raise SettingsError(
            f'data.device = "{wanted}": there is no such device here; '
            f"choose one of {', '.join(there)}"
        )
    return device


DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
"""Types of matrix products, by ``data.precision``."""


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Matrix products in ``precision``; weights stay float32 whatever it is."""
    dtype = DTYPES[precision]
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype != torch.float32)


@contextmanager
def reproducible(enabled: bool, threads: int) -> Iterator[None]:
    """Deterministic kernels and a fixed number of threads while the block runs.

    Threads are part of exactness: they decide how sums are split.
    """
    determinism: Any = torch.utils.deterministic
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        determinism.fill_uninitialized_memory,
        torch.get_num_threads(),
    )
    if enabled:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        set_deterministic(True)
        # Filling fresh memory with nan finds bugs, not reproducibility, and costs.
        determinism.fill_uninitialized_memory = False
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        set_deterministic(before[0], warn_only=before[1])
        determinism.fill_uninitialized_memory = before[2]
        torch.set_num_threads(before[3])


def set_deterministic(enabled: bool, *, warn_only: bool = False) -> None:
    """Ask for deterministic kernels, and for a deterministic compiler if there is one.

    An operation without any is refused, or warned about if ``warn_only``.
    The compiler is not loaded for that, which takes nearly as long as loading torch;
    who compiles calls this again.
    """
    if "torch._inductor" in sys.modules:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    else:
        mode = "warn" if warn_only else "error"
        torch.set_deterministic_debug_mode(mode if enabled else "default")
