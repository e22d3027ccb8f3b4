"""A file of the corpus -> ids, in constant memory."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from slangmod.data.writing import Encoded
from slangmod.text.corpus import Row, file_documents, file_rows
from slangmod.text.together import Encoders
from slangmod.text.tokenizer import Codec

CHUNK_CHARACTERS = 1 << 16
BATCH_CHARACTERS = 1 << 17
"""How much text is in memory as ids at a time."""
LARGEST_AT_ONCE = 1 << 24
"""Characters of a document that is not encoded in parts: the tokenizers library takes
100 to 450 bytes for each (measured)."""


def rows_for(codec: Codec, path: Path) -> Iterator[Row]:
    """Documents in parts where ids of parts joined are ids of the whole."""
    if codec.segmented:
        return file_rows(path)
    return (Row(text, False) for text in file_documents(path, LARGEST_AT_ONCE))


class Part(NamedTuple):
    """Some text of a document, and whether the document ends with it."""

    text: str
    last: bool


def _parts(rows: Iterable[Row], codec: Codec) -> Iterator[Part]:
    for text, more in rows:
        before = None
        for part in codec.pieces(text, CHUNK_CHARACTERS):
            if before is not None:
                yield Part(before, False)
            before = part
        yield Part(before or "", not more)


def encoded(rows: Iterable[Row], codec: Codec, encoders: Encoders) -> Iterator[Encoded]:
    """Ids of all rows by ``codec``, a few batches of text at a time."""
    batches: deque[list[Part]] = deque()

    def texts() -> Iterator[list[str]]:
        for batch in _batches(rows, codec):
            batches.append(batch)
            yield [part.text for part in batch]

    for arrays in encoders.ids(texts()):
        for (text, last), ids in zip(batches.popleft(), arrays, strict=True):
            yield Encoded(ids, len(text.encode("utf-8")), last)


def _batches(rows: Iterable[Row], codec: Codec) -> Iterator[list[Part]]:
    """Parts of about BATCH_CHARACTERS in all."""
    batch: list[Part] = []
    size = 0
    for part in _parts(rows, codec):
        batch.append(part)
        size += len(part.text)
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def encoded_by_chance(
    rows: Iterable[Row], codec: Codec, share: float, seed: int, document: int = 0
) -> Iterator[Encoded]:
    """Ids with a ``share`` of merges skipped, drawn anew for each document.

    What is drawn depends on the seed and on the document's place in the split alone;
    that of the first one is ``document``.
    """
    import numpy as np

    merges = codec.merges()
    chance = _chance(seed, document)
    for text, last in _parts(rows, codec):
        ids = [
            i for word in codec.words(text) for i in merges.spell(word, share, chance)
        ]
        yield Encoded(np.array(ids, codec.dtype), len(text.encode("utf-8")), last)
        if last:
            document += 1
            chance = _chance(seed, document)


def _chance(seed: int, document: int) -> Random:
    digest = hashlib.sha256(f"dropout {seed} {document}".encode()).digest()
    return Random(int.from_bytes(digest, "big"))
