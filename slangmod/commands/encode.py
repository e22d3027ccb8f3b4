"""``encode``: corpus and tokenizer -> token shards."""

import hashlib
import logging
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from slangmod import __version__
from slangmod.commands.call import Call
from slangmod.commands.counting import amount, counted, unwatched
from slangmod.commands.file_ids import encoded, encoded_by_chance, rows_for
from slangmod.commands.tokenize import learnt_from
from slangmod.data.checking import TOKEN_BYTES
from slangmod.data.shards import (
    MANIFEST,
    Manifest,
    Split,
    encodings_folder,
    made_from,
    manifest_content,
    split_of,
)
from slangmod.data.writing import joined, write_split
from slangmod.errors import DataError
from slangmod.files import (
    folder_aside,
    mark,
    move,
    read_mark,
    refuse_foreign,
    sha256_of,
    unsound,
    write_bytes,
    write_json,
)
from slangmod.parallel.crew import ALONE, Crew, crew_of, usable
from slangmod.parallel.sharing import Sharing
from slangmod.parallel.together import together
from slangmod.parallel.workers import results_of
from slangmod.settings.derived import seconds_of
from slangmod.settings.hashes import section_hash
from slangmod.settings.paths import corpus_folder, tokenizer_path
from slangmod.settings.sections import Settings
from slangmod.syncing import make_folder
from slangmod.text import provenance
from slangmod.text.corpus import corpus_files, count_documents, count_file_rows
from slangmod.text.documents import SPLITS
from slangmod.text.together import Encoders
from slangmod.text.tokenizer import Codec, open_codec

logger = logging.getLogger(__name__)

FEW = 8
"""Files that are read one after the other, before starting processes would pay."""


def run(call: Call) -> None:
    """Make the token shards that the settings ask for."""
    encode(call.settings, crew_of(os.environ))


def encode(settings: Settings, crew: Crew = ALONE) -> None:
    """Turn the corpus into shards of ids, whatever its size in constant memory.

    Does nothing if they were made from the same corpus with the same tokenizer. Raises
    DataError, and leaves everything as it was, if either is missing or broken. Corpus
    files are shared among ``crew``, and the cores of each machine have their share of
    each; the shards are the same for any number.
    """
    tokenizer = tokenizer_path(settings)
    meeting = Path(settings.workdir) / f"encodings-by-{tokenizer.name}"
    patience = seconds_of(settings.parallel.timeout)
    with together(meeting, crew, patience) as team:
        team.agree(lambda: _inputs_seen(settings))
        folder = encodings_folder(settings)
        refuse_foreign(folder)
        processes = settings.threads or crew.cores or usable()
        inputs = made_from(settings, partial(_hashed, team, processes))
        if team.tell(lambda: _is_fresh(folder, inputs)):
            return
        codec = open_codec(settings)
        if team.leads:
            _warn_of_old_tokenizer(settings)
        key = section_hash({"version": __version__, **inputs})
        with team.place(key, folder) as place:
            watched = settings if team.leads else unwatched(settings)
            files = Files(watched, codec, place, processes)
            made = files.shared(team, key)
            team.tell(lambda: _put_together(folder, files, made, team, inputs))


def _inputs_seen(settings: Settings) -> list[Any]:
    """Tokenizer and corpus files, as this process sees them."""
    tokenizer = tokenizer_path(settings)
    corpus = sorted(corpus_folder(settings).glob("*.parquet"))
    sizes = [[path.name, path.stat().st_size] for path in corpus]
    return [sha256_of(tokenizer) if tokenizer.is_file() else None, sizes]


def _is_fresh(folder: Path, inputs: dict[str, Any]) -> bool:
    """Whether the shards are there, were made from ``inputs`` and are as written."""
    fresh = (read_mark(folder) or {}).get("inputs") == inputs and not unsound(folder)
    if fresh:
        logger.info("encode: %s is up to date, nothing to do", folder)
    return fresh


def _hashed(team: Sharing, processes: int, files: Sequence[Path]) -> list[str]:
    """sha256 of each file."""

    def work(numbers: list[int]) -> Iterator[str]:
        enough = processes if len(files) > FEW else 1
        return results_of(enough, sha256_of, [(files[number],) for number in numbers])

    return team.share("", len(files), work)


@dataclass(frozen=True)
class Made:
    """What became of the files of the corpus: a split's part for each, by ``key``."""

    key: str
    parts: Sequence[tuple[str, Split]]


@dataclass(frozen=True)
class Files:
    """Files of the corpus, each of which becomes shards of its own in ``place``."""

    settings: Settings
    codec: Codec
    place: Path
    processes: int

    def shared(self, team: Sharing, key: str) -> Made:
        """Have the team write the shards of each file."""
        corpus = corpus_folder(self.settings)
        files = [(name, path) for name in SPLITS for path in corpus_files(corpus, name)]

        firsts = self.firsts(team, files)

        def work(numbers: list[int]) -> Iterator[dict[str, Any]]:
            with Encoders(self.codec, self.processes) as encoders:
                for number in numbers:
                    split, path = files[number]
                    yield asdict(self.one(split, path, firsts[number], encoders))

        parts = map(split_of, team.share(key, len(files), work))
        names = [name for name, _ in files]
        return Made(key, [*zip(names, parts, strict=True)])

    def firsts(self, team: Sharing, files: Sequence[tuple[str, Path]]) -> list[int]:
        """The number, within its split, of the first document of each file.

        Only chance depends on it, which train alone is encoded by.
        """
        train = [path for split, path in files if split == "train"]
        if not self.settings.tokens.dropout or len(train) == 1:
            return [0] * len(files)

        def work(numbers: list[int]) -> Iterator[int]:
            return (count_documents(train[number]) for number in numbers)

        counts = team.share("", len(train), work)
        return [0, *accumulate(counts[:-1]), *[0] * (len(files) - len(train))]

    def one(self, name: str, path: Path, first: int, encoders: Encoders) -> Split:
        """Write the shards of a file whose first document has the number ``first``."""
        codec, settings = self.codec, self.settings
        total = count_file_rows(path)
        rows = counted(rows_for(codec, path), settings, f"encode {name}", total)
        dropout = settings.tokens.dropout if name == "train" else 0.0
        if dropout:
            ids = encoded_by_chance(rows, codec, dropout, settings.seed, first)
        else:
            ids = encoded(rows, codec, encoders)
        folder = self.place / f"{path.stem}-{uuid.uuid4().hex}"
        make_folder(folder)
        split = write_split(folder, name, ids, codec.dtype, codec.end)
        there = f"{folder.name}/"
        shards = [
            replace(one, name=there + one.name, ends=there + one.ends)
            for one in split.shards
        ]
        return replace(split, shards=tuple(shards))


def _put_together(
    folder: Path, files: Files, made: Made, team: Sharing, inputs: dict[str, Any]
) -> None:
    """Make ``folder`` of all shards, numbered through within their splits."""
    splits: dict[str, Split] = {}
    names: dict[str, str] = {}
    for name in SPLITS:
        of_split = [part for split, part in made.parts if split == name]
        splits[name], old_names = joined(of_split, name)
        names |= old_names
        if not splits[name].documents:
            raise DataError(
                f"{corpus_folder(files.settings)}: the {name} split holds no document; "
                "run `slangmod clean`"
            )
    team.forget(made.key)
    with folder_aside(folder) as aside:
        for name, old in names.items():
            move(files.place / old, aside / name)
        _describe(aside, files.codec, splits, inputs)
    for name, split in splits.items():
        ratio = split.bytes / max(1, split.tokens)
        logger.info(
            "encode: %s: %s, %s, %.2f bytes each",
            name,
            amount(split.documents, "document"),
            amount(split.tokens, "token"),
            ratio,
        )


def _describe(
    folder: Path, codec: Codec, splits: dict[str, Split], inputs: dict[str, Any]
) -> None:
    """Write what is to be known of the shards in ``folder``."""
    import numpy as np

    lengths = np.minimum(codec.byte_lengths(), 0xFFFF).astype("<u2").tobytes()
    write_bytes(folder / TOKEN_BYTES, lengths)
    manifest = Manifest(
        codec.dtype,
        codec.vocab_size,
        codec.end,
        inputs["tokenizer"],
        hashlib.sha256(lengths).hexdigest(),
        splits,
    )
    write_json(folder / MANIFEST, manifest_content(manifest))
    shards = [shard for split in splits.values() for shard in split.shards]
    digests = {shard.name: shard.sha256 for shard in shards}
    digests |= {shard.ends: shard.ends_sha256 for shard in shards}
    digests |= {name: sha256_of(folder / name) for name in (TOKEN_BYTES, MANIFEST)}
    inside = dict(sorted(digests.items()))
    mark(folder, {"made_by": "encode", "inputs": inputs, "files": inside})


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
