"""Whether the files of encodings are what their manifest says, and make sense."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slangmod.files import sha256_of
from slangmod.reading import open_regular

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slangmod.data.shards import Manifest, Shard

TOKEN_BYTES: Final = "token_bytes.bin"
AT_A_TIME: Final = 1 << 20
"""Ids that are looked at."""
Fault = tuple[str, str]
"""Name of a file, and what is wrong with it."""


def faults_of(folder: Path, manifest: "Manifest") -> Iterator[Fault]:
    """All that is wrong with files whose sizes are right, each read once or twice.

    Every file is compared by hash; ids must be below the size of the vocabulary, and
    the ends of documents where their end symbols are.
    """
    if sha256_of(folder / TOKEN_BYTES) != manifest.token_bytes_sha256:
        yield TOKEN_BYTES, CHANGED
    for split in manifest.splits.values():
        for shard in split.shards:
            for name, digest in _digests(shard):
                if sha256_of(folder / name) != digest:
                    yield name, CHANGED
            yield from _nonsense(folder, shard, manifest)


def numbers_in(path: Path, kind: str) -> "NDArray[Any]":
    """All numbers of a file that holds nothing else."""
    import numpy as np

    with open_regular(path) as stream:
        return np.fromfile(stream, kind)


CHANGED: Final = "its content has changed"


def _digests(shard: "Shard") -> tuple[Fault, Fault]:
    return (shard.name, shard.sha256), (shard.ends, shard.ends_sha256)


def _nonsense(folder: Path, shard: "Shard", manifest: "Manifest") -> Iterator[Fault]:
    """What no hash tells: ids and ends that could not be used."""
    import numpy as np

    if not shard.tokens:
        return
    ends = numbers_in(folder / shard.ends, "<u8")
    if (reason := _disorder(ends, shard.tokens)) is not None:
        yield shard.ends, reason
        return
    most = begin = 0
    last = ends.astype(np.int64) - 1
    ended = True
    dtype = np.dtype(manifest.dtype).newbyteorder("<")
    with open_regular(folder / shard.name) as stream:
        # Not mapped: a file that is cut short meanwhile would end the process.
        while len(ids := np.fromfile(stream, dtype, AT_A_TIME)):
            most = max(most, int(ids.max()))
            first, after = np.searchsorted(last, [begin, begin + len(ids)])
            ended &= bool(np.all(ids[last[first:after] - begin] == manifest.end))
            begin += len(ids)
    if begin != shard.tokens:
        yield shard.name, CHANGED
    if most >= manifest.vocab:
        yield shard.name, f"has the id {most}, of {manifest.vocab} tokens"
    if not ended:
        yield shard.ends, "a document does not end with the end symbol"


def _disorder(ends: "NDArray[Any]", tokens: int) -> str | None:
    """What is wrong with the ends of the documents in so many ``tokens``."""
    import numpy as np

    if not len(ends) or ends[-1] != tokens:
        return "does not end where its shard does"
    if ends[0] == 0 or np.any(ends[1:] <= ends[:-1]):
        return "its documents are not one after the other"
    return None
