"""Token shards as one long array that never has to fit into memory."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from slangmod.errors import RunError
from slangmod.reading import regular


@dataclass
class TokenStream:
    """Several files of one type, read as if they were one array.

    Each piece is read when it is asked for, so nothing of the files is held in memory;
    what is read often, the system keeps cached as long as nobody needs that memory.
    Files stay open: what is there is read, even if another takes its name.
    """

    files: Sequence[Path]
    dtype: DTypeLike
    ends: NDArray[np.int64] = field(init=False, repr=False)
    """entries of all files up to and including each"""
    _open: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Open the files; what is no whole entry at an end is left out."""
        self._open = [regular(path, os.O_RDONLY) for path in self.files]
        sizes = [os.fstat(one).st_size for one in self._open]
        size = np.dtype(self.dtype).itemsize
        self.ends = np.cumsum([one // size for one in sizes], dtype=np.int64)

    def __del__(self) -> None:
        """Close the files."""
        for one in getattr(self, "_open", ()):
            os.close(one)

    def __len__(self) -> int:
        """Entries of all files together."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def copy_to(self, out: NDArray[np.int64], start: int) -> None:
        """Fill ``out`` with the entries from ``start`` on, across files if need be.

        IndexError beyond the last; RunError where a file has become shorter; OSError
        where a disk refuses.
        """
        if start + len(out) > len(self):
            raise IndexError(f"{start + len(out)} entries of {len(self)}")
        filled, size = 0, np.dtype(self.dtype).itemsize
        part = int(np.searchsorted(self.ends, start, side="right"))
        while filled < len(out):
            before = int(self.ends[part - 1]) if part else 0
            begin = start + filled - before
            count = min(len(out) - filled, int(self.ends[part]) - before - begin)
            content = os.pread(self._open[part], count * size, begin * size)
            if len(content) != count * size:
                raise RunError(f"{self.files[part]}: became shorter while it was read")
            out[filled : filled + count] = np.frombuffer(content, self.dtype)
            filled += count
            part += 1
