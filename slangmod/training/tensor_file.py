"""Tensors into a safetensors file, piece by piece, hashed on their way.

The format (https://github.com/huggingface/safetensors): 8 bytes with the length of the
header, little-endian; the header, JSON, filled up with blanks to a multiple of 8; the
bytes of the tensors. The library's own writer wants all of them in one piece of memory,
and cannot say what it meant to write. Equal tensors are equal bytes, the very ones that
the library writes: larger types first, then by name.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

TYPES: Final = {
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""How the format spells types, in the order in which their tensors lie in a file."""

DTYPES: Final = {TYPES[dtype]: dtype for dtype in TYPES}
"""The other way round."""

PIECE: Final = 2**24
"""Bytes that are written at once."""


@dataclass(frozen=True)
class Written:
    """What a file was meant to be."""

    size: int
    """bytes"""
    sha256: str


def pieces(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """The bytes of a file of ``tensors``, a piece at a time, copied to the host so.

    Raises ValueError for a type that the format does not have.
    """
    known = {name: (one.dtype, tuple(one.shape)) for name, one in tensors.items()}
    return pieces_read(known, tensors.__getitem__)


def pieces_read(
    known: Mapping[str, tuple[torch.dtype, tuple[int, ...]]],
    read: Callable[[str], Tensor],
) -> Iterator[bytes | memoryview]:
    """As ``pieces``, of tensors that are ``read`` one after the other.

    ``known``: type and shape of each.
    """
    order = list(TYPES)
    for name, (dtype, _) in known.items():
        if dtype not in TYPES:
            raise ValueError(f"{name}: {dtype} cannot be saved")
    names = sorted(known, key=lambda name: (order.index(known[name][0]), name))
    yield header([(name, *known[name]) for name in names])
    for name in names:
        flat = read(name).detach().contiguous().cpu().reshape(-1)
        content = memoryview(flat.view(torch.uint8).numpy())
        for begin in range(0, len(content), PIECE):
            yield content[begin : begin + PIECE]


def header(tensors: list[tuple[str, torch.dtype, tuple[int, ...]]]) -> bytes:
    """Length and names, types, shapes and places of tensors, in their order."""
    content: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, dtype, shape in tensors:
        end = position + math.prod(shape) * dtype.itemsize
        content[name] = {
            "dtype": TYPES[dtype],
            "shape": list(shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def written(
    content: Iterator[bytes | memoryview], write: Callable[[bytes | memoryview], object]
) -> Written:
    """Write all pieces, and say what was written; hashed before a disk sees them."""
    size, digest = 0, hashlib.sha256()
    for piece in content:
        digest.update(piece)
        write(piece)
        size += len(piece)
    return Written(size, digest.hexdigest())
