"""On what a run runs: versions and machine, found out without importing anything."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("slangmod", "torch", "tokenizers", "safetensors", "numpy", "swak")
CPU_INFO = Path("/proc/cpuinfo")


def environment(device: str, threads: int) -> dict[str, Any]:
    """The facts of summary.toml's [environment] that no choice changes.

    ``device`` in words, ``threads`` as torch uses them.
    """
    return {
        "device": device,
        "threads": threads,
        "cpu": cpu_name(),
        "cpus": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        **{package: version_of(package) for package in PACKAGES},
    }


def version_of(package: str) -> str | None:
    """The installed version of ``package``, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cpu_name() -> str:
    """What the processor calls itself, else its architecture."""
    try:
        for line in CPU_INFO.read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
