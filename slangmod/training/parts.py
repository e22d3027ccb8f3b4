"""Tensors of a checkpoint, whole or some rows, from one file or from several.

Only the bytes that are asked for are read, after names, shapes and types of all are
known to be those of the model.
"""

import errno
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from slangmod.errors import RunError
from slangmod.optim.state import is_of_rows
from slangmod.parallel.shards import shards_of
from slangmod.plugins import in_one_line
from slangmod.reading import LARGEST_JSON, open_regular, read_json
from slangmod.training.copies import Weights
from slangmod.training.index import Parts, parts_in
from slangmod.training.manifest import FORMAT, MANIFEST
from slangmod.training.tensor_file import DTYPES, TYPES, pieces_read

LENGTH: Final = 8
"""Bytes at the beginning of a file that say how long its header is."""

Kind = tuple[tuple[int, ...], str]
"""Shape, and type as safetensors spells it."""


class Wanted(NamedTuple):
    """A tensor that should be there, and how much of it is asked for."""

    kind: Kind
    """of the whole"""
    rows: range | None
    """None: all of it"""


class Tensors:
    """A set of tensors that lies in ``parts``, or in the one file ``name``."""

    def __init__(self, path: Path, name: str, parts: Parts | None) -> None:
        self._path, self._parts = path, parts
        self._files: dict[str, Any] = {}
        self._stack = ExitStack()
        if parts is None:
            file = self._opened(name)
            self._name = name
            self.kinds = kinds_in(file)
            if odd := [one for _, one in self.kinds.values() if one not in DTYPES]:
                raise RunError(f"{path / name}: holds numbers of type {odd[0]}")
        else:
            self.kinds = {
                key: (one.shape, one.dtype) for key, one in parts.tensors.items()
            }

    def close(self) -> None:
        """Close all files."""
        self._stack.close()

    def look_at_all(self) -> None:
        """Open all files, which shows whether they hold what they should."""
        for number in range(len(self._parts.files) if self._parts else 0):
            self._part(number)

    def read(self, name: str, rows: range | None = None) -> Tensor:
        """The tensor ``name``, or its ``rows``, in host memory."""
        if self._parts is None:
            return piece(self._files[self._name], name, rows)
        placed = self._parts.tensors[name]
        if placed.rows is None:
            return piece(self._part(0), name, rows)
        rows = range(placed.shape[0]) if rows is None else rows
        # Before memory is taken, files are known to hold so much.
        files = {number: self._part(number) for number in placed.files_of(rows)}
        whole = torch.empty(len(rows), *placed.shape[1:], dtype=DTYPES[placed.dtype])
        for number, file in files.items():
            there = placed.share(number)
            first, last = max(there.start, rows.start), min(there.stop, rows.stop)
            here = range(first - there.start, last - there.start)
            whole[first - rows.start : last - rows.start] = piece(file, name, here)
        return whole

    def _part(self, number: int) -> Any:
        """File ``number``, known to hold what the index says."""
        assert self._parts is not None
        name = self._parts.files[number]
        if name not in self._files:
            place = self._path / name
            if place.is_symlink():
                raise RunError(f"{place}: is a link to another place")
            found = kinds_in(self._opened(name))
            if found != (wanted := self._parts.shapes_in(number)):
                odd = min(key for key, _ in found.items() ^ wanted.items())
                raise RunError(f"{place}: is not what the manifest says: {odd}")
        return self._files[name]

    def _opened(self, name: str) -> Any:
        place = self._path / name
        refuse_long_header(place)
        try:
            file = self._stack.enter_context(safe_open(place, framework="pt"))
        except RuntimeError as error:
            # Of torch, which maps the file, and to which it may have gone meanwhile.
            place.stat()
            raise OSError(errno.EIO, in_one_line(error), str(place)) from error
        self._files[name] = file
        return file


def refuse_long_header(path: Path) -> None:
    """Raise RunError if the names of a file take more memory than any model's do."""
    with open_regular(path) as stream:
        size = int.from_bytes(stream.read(LENGTH), "little")
    if size > LARGEST_JSON:
        raise RunError(f"{path}: its header has {size} bytes")


def kinds_in(file: Any) -> dict[str, Kind]:
    """Shape and type of each tensor of an open file."""
    parts = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
    return {
        key: (tuple(part.get_shape()), part.get_dtype()) for key, part in parts.items()
    }


def piece(file: Any, name: str, rows: range | None) -> Tensor:
    """The tensor ``name`` of an open file, or some of its rows."""
    found: Tensor = (
        file.get_tensor(name)
        if rows is None
        else file.get_slice(name)[rows.start : rows.stop]
    )
    return found


@contextmanager
def open_tensors(path: Path, name: str) -> Iterator[Tensors]:
    """The tensors that checkpoint ``path`` has under ``name``, to read from.

    Raises RunError where they cannot be read, also from within the block.
    """
    tensors = None
    try:
        tensors = Tensors(path, name, parts_at(path).get(name))
        yield tensors
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path / name}: {error}") from error
    finally:
        if tensors is not None:
            tensors.close()


def parts_at(path: Path) -> dict[str, Parts]:
    """Which sets of checkpoint ``path`` are in several files; RunError if unclear."""
    place = path / MANIFEST
    try:
        content = read_json(place)
        several = isinstance(content, dict) and content.get("format") == FORMAT
        return parts_in(content) if several else {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{place}: {error}") from error


def holds(path: Path, name: str) -> bool:
    """Whether checkpoint ``path`` has a set of tensors ``name``."""
    return name in parts_at(path) or (path / name).exists()


def wanted_of(model: nn.Module, like: Mapping[str, Tensor]) -> dict[str, Wanted]:
    """What a set of weights of ``model``, of which ``like`` is one, has to be."""
    shards = shards_of(model)
    if shards is None:
        return {
            key: Wanted((tuple(one.shape), kind_of(one)), None)
            for key, one in like.items()
        }
    return {
        key: Wanted((shards.shapes[key], kind_of(one)), shards.rows(key))
        for key, one in like.items()
    }


def read_weights(path: Path, name: str, wanted: Mapping[str, Wanted]) -> Weights:
    """The tensors, or rows, of ``path`` that are ``wanted``, in host memory.

    Names, shapes and types are compared before a tensor is read; RunError if they
    differ.
    """
    expected = {key: one.kind for key, one in wanted.items()}
    with open_tensors(path, name) as tensors:
        if tensors.kinds != expected:
            odd = min(key for key, _ in tensors.kinds.items() ^ expected.items())
            raise RunError(f"{path}: weights are not this model's: {odd}")
        return {key: tensors.read(key, one.rows) for key, one in wanted.items()}


def file_of(path: Path, name: str) -> Iterator[bytes | memoryview]:
    """The bytes of one file of all tensors that ``path`` has under ``name``.

    No more than one of them is in memory at a time.
    """
    with open_tensors(path, name) as tensors:
        kinds = tensors.kinds.items()
        known = {key: (DTYPES[dtype], shape) for key, (shape, dtype) in kinds}
        yield from pieces_read(known, tensors.read)


def read_moments(
    path: Path, name: str, optimizer: torch.optim.Optimizer, model: nn.Module
) -> dict[str, Tensor]:
    """What ``optimizer`` remembers, by ``parameter/key``, from checkpoint ``path``.

    Where the model is spread over several processes, the own rows. Raises RunError
    where something is not of the shape that would have.
    """
    shards = shards_of(model)
    with open_tensors(path, name) as tensors:
        found = {}
        for place, (shape, _) in tensors.kinds.items():
            parameter, _, key = place.rpartition("/")
            if shards is None or not is_of_rows(optimizer, key, len(shape)):
                found[place] = tensors.read(place)
            elif shape[:1] != shards.shapes.get(parameter, ())[:1]:
                raise RunError(f"{path}: does not fit this run: {place}")
            else:
                found[place] = tensors.read(place, shards.rows(parameter))
        return found


def kind_of(tensor: Tensor) -> str:
    """How safetensors spells the type of ``tensor``, such as F32."""
    return TYPES[tensor.dtype]
