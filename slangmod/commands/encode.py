"""``encode``: corpus and tokenizer -> token shards."""

import hashlib
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from slangmod.commands.call import Call
from slangmod.commands.counting import amount, counted
from slangmod.commands.tokenize import learnt_from
from slangmod.data.checking import TOKEN_BYTES
from slangmod.data.shards import (
    MANIFEST,
    Manifest,
    encodings_folder,
    made_from,
    manifest_content,
)
from slangmod.data.writing import Encoded, write_split
from slangmod.errors import DataError
from slangmod.files import (
    folder_aside,
    mark,
    read_mark,
    refuse_foreign,
    sha256_of,
    unsound,
    write_bytes,
    write_json,
)
from slangmod.settings.paths import corpus_folder, tokenizer_path
from slangmod.settings.sections import Settings
from slangmod.text import provenance
from slangmod.text.corpus import Row, corpus_documents, corpus_rows, count_rows
from slangmod.text.documents import SPLITS
from slangmod.text.segments import pieces
from slangmod.text.together import cores, encoded_together
from slangmod.text.tokenizer import Codec, open_codec

logger = logging.getLogger(__name__)

CHUNK_CHARACTERS = 1 << 16
BATCH_CHARACTERS = 1 << 17
"""How much text is in memory as ids at a time."""


def run(call: Call) -> None:
    """Make the token shards that the settings ask for."""
    encode(call.settings)


def encode(settings: Settings) -> None:
    """Turn the corpus into shards of ids, whatever its size in constant memory.

    Does nothing if they were made from the same corpus with the same tokenizer. Raises
    DataError, and leaves everything as it was, if either is missing or broken.
    """
    folder = encodings_folder(settings)
    inputs = made_from(settings)
    refuse_foreign(folder)
    if (read_mark(folder) or {}).get("inputs") == inputs and not unsound(folder):
        logger.info("encode: %s is up to date, nothing to do", folder)
        return
    codec = open_codec(settings)
    _warn_of_old_tokenizer(settings)
    with folder_aside(folder) as aside:
        manifest = _fill(aside, settings, codec, inputs["tokenizer"])
        digests = {path.name: sha256_of(path) for path in sorted(aside.iterdir())}
        mark(aside, {"made_by": "encode", "inputs": inputs, "files": digests})
    for name, split in manifest.splits.items():
        ratio = split.bytes / max(1, split.tokens)
        logger.info(
            "encode: %s: %s, %s, %.2f bytes each",
            name,
            amount(split.documents, "document"),
            amount(split.tokens, "token"),
            ratio,
        )


def _fill(folder: Path, settings: Settings, codec: Codec, digest: str) -> Manifest:
    """Write everything into ``folder``; ``digest`` is that of the tokenizer file."""
    import numpy as np

    corpus = corpus_folder(settings)
    splits = {}
    for name in SPLITS:
        total = count_rows(corpus, name)
        rows = counted(_rows(corpus, name, codec), settings, f"encode {name}", total)
        dropout = settings.tokens.dropout if name == "train" else 0.0
        encoded = (
            _encoded_by_chance(rows, codec, dropout, settings.seed)
            if dropout
            else _encoded(rows, codec, settings.threads or cores())
        )
        splits[name] = write_split(folder, name, encoded, codec.dtype, codec.end)
        if not splits[name].documents:
            raise DataError(
                f"{corpus}: the {name} split holds no document; run `slangmod clean`"
            )
    lengths = np.minimum(codec.byte_lengths(), 0xFFFF).astype("<u2").tobytes()
    write_bytes(folder / TOKEN_BYTES, lengths)
    manifest = Manifest(
        codec.dtype,
        codec.vocab_size,
        codec.end,
        digest,
        hashlib.sha256(lengths).hexdigest(),
        splits,
    )
    write_json(folder / MANIFEST, manifest_content(manifest))
    return manifest


def _rows(corpus: Path, split: str, codec: Codec) -> Iterator[Row]:
    """Documents in parts where ids of parts joined are ids of the whole."""
    if codec.segmented:
        return corpus_rows(corpus, split)
    return (Row(text, False) for text in corpus_documents(corpus, split))


class Part(NamedTuple):
    """Some text of a document, and whether the document ends with it."""

    text: str
    last: bool


def _parts(rows: Iterable[Row], codec: Codec) -> Iterator[Part]:
    for text, more in rows:
        *before, last = pieces(text, CHUNK_CHARACTERS) if codec.segmented else [text]
        yield from (Part(part, False) for part in before)
        yield Part(last, not more)


def _encoded(rows: Iterable[Row], codec: Codec, processes: int) -> Iterator[Encoded]:
    """Ids of all rows, a few batches of text at a time."""
    batches: deque[list[Part]] = deque()

    def texts() -> Iterator[list[str]]:
        for batch in _batches(rows, codec):
            batches.append(batch)
            yield [part.text for part in batch]

    for arrays in encoded_together(texts(), codec, processes):
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


def _encoded_by_chance(
    rows: Iterable[Row], codec: Codec, share: float, seed: int
) -> Iterator[Encoded]:
    """Ids with a ``share`` of merges skipped, drawn anew for each document.

    What is drawn depends on the seed and on the document's place in the split alone.
    """
    import numpy as np

    merges = codec.merges()
    document = 0
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


def _warn_of_old_tokenizer(settings: Settings) -> None:
    """Say so if the tokenizer was learnt from another text than the corpus holds."""
    path = tokenizer_path(settings)
    source = provenance.made_from(path)
    if source is not None and source != learnt_from(settings):
        logger.warning(
            "encode: %s was learnt from another text; "
            "`slangmod tokenize` makes it anew",
            path,
        )
