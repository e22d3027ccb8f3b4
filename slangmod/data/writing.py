"""Writing token shards in a stream: no more in memory than what is handed over."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from slangmod.data.shards import Shard, Split
from slangmod.files import written_aside

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHARD_TOKENS: Final = 1 << 27
"""When a shard holds so many, the next document begins another."""


class Encoded(NamedTuple):
    """Ids of a document, or of a part of one."""

    ids: "NDArray[np.unsignedinteger]"
    size: int
    """bytes of the text in UTF-8"""
    last: bool
    """whether the document ends here, so that the end symbol is due"""


class _Hashed:
    """A stream that knows the sha256 of what went into it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()

    def write(self, content: bytes) -> None:
        self._stream.write(content)
        self._digest.update(content)

    def sha256(self) -> str:
        return self._digest.hexdigest()


def write_split(
    folder: Path,
    split: str,
    encoded: Iterable[Encoded],
    dtype: str,
    end: int,
    most: int = SHARD_TOKENS,
) -> Split:
    """Write shards of about ``most`` tokens into ``folder``, whole documents each.

    ``dtype`` is uint16 or uint32, ``end`` the id that follows each document.
    """
    shards: list[Shard] = []
    size = 0
    stream = iter(encoded)
    while (first := next(stream, None)) is not None:
        name = f"{split}-{len(shards):05d}"
        rest = chain([first], stream)
        shard, read = _write_shard(folder, name, rest, dtype, end, most)
        shards.append(shard)
        size += read
    documents = sum(shard.documents for shard in shards)
    tokens = sum(shard.tokens for shard in shards)
    return Split(documents, tokens, size, tuple(shards))


def joined(parts: Sequence[Split], name: str) -> tuple[Split, dict[str, str]]:
    """The split that ``parts`` are in this order, its shards numbered through.

    Also what the file of each new name is called now.
    """
    shards: list[Shard] = []
    called: dict[str, str] = {}
    for shard in (shard for part in parts for shard in part.shards):
        stem = f"{name}-{len(shards):05d}"
        called |= {f"{stem}.bin": shard.name, f"{stem}.ends": shard.ends}
        shards.append(replace(shard, name=f"{stem}.bin", ends=f"{stem}.ends"))
    split = Split(
        sum(part.documents for part in parts),
        sum(part.tokens for part in parts),
        sum(part.bytes for part in parts),
        tuple(shards),
    )
    return split, called


def _write_shard(
    folder: Path, name: str, encoded: Iterator[Encoded], dtype: str, end: int, most: int
) -> tuple[Shard, int]:
    """Write one shard; also how many bytes of text it holds."""
    import numpy as np

    kind = np.dtype(dtype).newbyteorder("<")
    closing = np.array([end], kind).tobytes()
    tokens = documents = size = 0
    ids_path, ends_path = folder / f"{name}.bin", folder / f"{name}.ends"
    with written_aside(ids_path) as ids, written_aside(ends_path) as ends:
        ids_stream, ends_stream = _Hashed(ids), _Hashed(ends)
        for part in encoded:
            ids_stream.write(part.ids.astype(kind, copy=False).tobytes())
            tokens += len(part.ids)
            size += part.size
            if part.last:
                ids_stream.write(closing)
                tokens += 1
                documents += 1
                ends_stream.write(tokens.to_bytes(8, "little"))
                if tokens >= most:
                    break
    shard = Shard(
        ids_path.name,
        tokens,
        ids_stream.sha256(),
        documents,
        ends_path.name,
        ends_stream.sha256(),
    )
    return shard, size
