"""How much memory this process has, had at most, and could still have."""

import resource
import sys
from pathlib import Path
from typing import Final

import torch

STATUS: Final = Path("/proc/self/status")
OF_MACHINE: Final = Path("/proc/meminfo")


def peak_memory(device: torch.device) -> int:
    """Most bytes in use so far: of the GPU where it trains there, else resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident_bytes() -> int:
    """Memory of this process that is resident now; at its peak where unknown."""
    now = entry(STATUS, "VmRSS")
    return peak_memory(torch.device("cpu")) if now is None else now


def device_bytes(device: torch.device) -> int | None:
    """Memory of all tensors on ``device`` now, where it is a GPU, else None."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else None


def free_bytes(device: torch.device) -> int | None:
    """Bytes that are still to be had; None where that is not known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return entry(OF_MACHINE, "MemAvailable")


def entry(path: Path, name: str) -> int | None:
    """Bytes that a line such as ``VmRSS: 12 kB`` of ``path`` tells, if it is there."""
    try:
        lines = path.read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    found = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return next((int(number) * 1024 for number in found), None)
