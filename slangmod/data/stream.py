"""Token shards as one long array that never has to fit into memory."""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

RELEASE_AFTER = 1 << 25
"""Bytes mapped before the pages of the shards are handed back to the system."""
AROUND = 1 << 16
"""Bytes that the system maps around one that is read, if it has them in memory."""


@dataclass
class MappedArray:
    """Several files of one type, read as if they were one array in memory.

    What is resident does not grow with the files: pages already read are released
    (the system keeps them cached as long as nobody needs the memory).
    """

    files: Sequence[Path]
    dtype: DTypeLike
    parts: list[NDArray[np.generic]] = field(init=False, repr=False)
    ends: NDArray[np.int64] = field(init=False, repr=False)
    _mapped: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        """Map the files; empty ones hold nothing to map."""
        filled = [path for path in self.files if path.stat().st_size]
        self.parts = [np.memmap(path, self.dtype, "r") for path in filled]
        self.ends = np.cumsum([len(part) for part in self.parts], dtype=np.int64)

    def __len__(self) -> int:
        """Entries of all files together."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def copy_to(self, out: NDArray[np.int64], start: int) -> None:
        """Fill ``out`` with the entries from ``start`` on, across files if need be."""
        part = int(np.searchsorted(self.ends, start, side="right"))
        filled = 0
        while filled < len(out):
            skipped = int(self.ends[part - 1]) if part else 0
            piece = self.parts[part][start + filled - skipped :][: len(out) - filled]
            out[filled : filled + len(piece)] = piece
            filled += len(piece)
            part += 1
        self._mapped += len(out) * np.dtype(self.dtype).itemsize + AROUND
        if self._mapped > RELEASE_AFTER:
            self.release()

    def release(self) -> None:
        """Let go of the pages that have been read so far."""
        self._mapped = 0
        for part in self.parts:
            mapped = getattr(part, "_mmap", None)
            if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
                mapped.madvise(mmap.MADV_DONTNEED)
