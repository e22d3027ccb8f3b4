"""Which rows of a tensor lie in which file, where several processes wrote them.

A checkpoint of one process has a file of each set of tensors, ``model.safetensors``.
One of four has ``model-00001-of-00004.safetensors`` and so on, and its manifest says
under ``tensors``, for each set, what the files are called, and of each tensor its type,
its whole shape, and ``rows``: how many each file has, one after the other, of which the
last may have fewer, or none. A tensor without ``rows`` is whole, and in the first file.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from slangmod.training.tensor_file import DTYPES, TYPES

TENSORS: Final = "tensors"
"""Key of the manifest; one process writes none."""
MOST_FILES: Final = 1 << 16
MOST_ROWS: Final = 1 << 48


def part_name(name: str, rank: int, size: int) -> str:
    """What the file of process ``rank`` of ``size`` is called.

    >>> part_name("model.safetensors", 0, 4)
    'model-00001-of-00004.safetensors'
    """
    stem, _, suffix = name.rpartition(".")
    return f"{stem}-{rank + 1:05d}-of-{size:05d}.{suffix}"


@dataclass(frozen=True)
class Placed:
    """Where a tensor is."""

    dtype: str
    """as safetensors spells it"""
    shape: tuple[int, ...]
    """of the whole"""
    rows: int | None
    """in each file, the last may have fewer; None: the first has all of it"""

    def share(self, number: int) -> range:
        """The rows that file ``number`` has, from 0."""
        assert self.rows is not None
        begin, end = number * self.rows, (number + 1) * self.rows
        return range(min(begin, self.shape[0]), min(end, self.shape[0]))

    def files_of(self, rows: range) -> range:
        """The numbers of the files that have any of ``rows``."""
        assert self.rows is not None
        if not rows:
            return range(0)
        return range(rows.start // self.rows, -(-rows.stop // self.rows))

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        known: dict[str, Any] = {"dtype": self.dtype, "shape": list(self.shape)}
        return known if self.rows is None else {**known, "rows": self.rows}


@dataclass(frozen=True)
class Parts:
    """A set of tensors in several files."""

    files: tuple[str, ...]
    tensors: Mapping[str, Placed]

    def plain(self) -> dict[str, Any]:
        """Ready for JSON."""
        tensors = {name: placed.plain() for name, placed in self.tensors.items()}
        return {"files": list(self.files), "tensors": tensors}

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(
            math.prod(one.shape) * DTYPES[one.dtype].itemsize
            for one in self.tensors.values()
        )

    def shapes_in(self, number: int) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and type of each tensor as it must be in file ``number``, from 0."""
        found = {}
        for name, placed in self.tensors.items():
            if placed.rows is not None:
                rows = len(placed.share(number))
                found[name] = ((rows, *placed.shape[1:]), placed.dtype)
            elif number == 0:
                found[name] = (placed.shape, placed.dtype)
        return found


def plain_index(index: Mapping[str, Parts]) -> dict[str, Any]:
    """What ``parts_in`` reads, ready for JSON."""
    return {name: parts.plain() for name, parts in index.items()}


def parts_in(manifest: Mapping[str, Any]) -> dict[str, Parts]:
    """The sets of tensors that are in several files.

    Raises ValueError or TypeError if that is unclear.
    """
    index = manifest.get(TENSORS, {})
    if not isinstance(index, dict):
        raise TypeError(f"{TENSORS} is no table")
    return {name: parts_of(name, plain) for name, plain in index.items()}


def parts_of(name: str, plain: Any) -> Parts:
    """What ``Parts.plain`` once gave; ValueError or TypeError if not."""
    if not isinstance(plain, dict):
        raise TypeError(f"{name}: is no table")
    files, tensors = plain.get("files"), plain.get("tensors")
    if not (isinstance(files, list) and 0 < len(files) <= MOST_FILES):
        raise ValueError(f"{name}: lists no files")
    wanted = [part_name(name, rank, len(files)) for rank in range(len(files))]
    if files != wanted or Path(name).name != name:
        raise ValueError(f"{name}: has files of other names")
    if not isinstance(tensors, dict):
        raise TypeError(f"{name}: lists no tensors")
    each = {key: placed_of(key, one, len(files)) for key, one in tensors.items()}
    return Parts(tuple(files), each)


def placed_of(name: str, plain: Any, files: int) -> Placed:
    """What ``Placed.plain`` once gave, of so many ``files``; else ValueError."""
    if not isinstance(plain, dict) or plain.get("dtype") not in TYPES.values():
        raise ValueError(f"{name}: is of no known type")
    shape = numbers_of(name, plain.get("shape"))
    if "rows" not in plain:
        return Placed(plain["dtype"], shape, None)
    (rows,) = numbers_of(name, [plain["rows"]])
    if not shape or rows * files < shape[0]:
        raise ValueError(f"{name}: {files} files of {rows} rows have not all of it")
    return Placed(plain["dtype"], shape, rows)


def numbers_of(name: str, plain: Any) -> tuple[int, ...]:
    """Numbers from 0 on; ValueError if they are none."""
    if not isinstance(plain, list) or not all(
        type(number) is int and 0 <= number <= MOST_ROWS for number in plain
    ):
        raise ValueError(f"{name}: its shape or its rows are no numbers")
    return tuple(plain)
