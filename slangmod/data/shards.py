"""Token ids on disk: shards of bare integers, and the manifest that describes them.

Beside each shard ``train-00000.bin`` lies ``train-00000.ends``: for each document, the
index just past its end symbol in the shard (uint64). ``token_bytes.bin`` holds how many
bytes of text each id stands for (uint16), so that nothing here needs the tokenizer.
"""

import hashlib
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slangmod.data.checking import TOKEN_BYTES, faults_of, numbers_in
from slangmod.errors import DataError
from slangmod.files import MARKER, read_mark, sha256_of
from slangmod.reading import LARGEST_JSON, parsed, read_limited, refuse_irregular
from slangmod.settings.hashes import section_hash
from slangmod.settings.paths import corpus_folder, tokenizer_path
from slangmod.settings.sections import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MANIFEST: Final = "manifest.json"
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}\.(bin|ends)")
"""Of a shard or of its ends: it lies in the folder itself."""


@dataclass(frozen=True)
class Shard:
    """One file of ids and what is known of it."""

    name: str
    tokens: int
    sha256: str
    documents: int
    ends: str
    """name of the file with the ends of its documents"""
    ends_sha256: str


@dataclass(frozen=True)
class Split:
    """All shards of one split."""

    documents: int
    tokens: int
    """end symbols included"""
    bytes: int
    """of the documents in UTF-8"""
    shards: tuple[Shard, ...]


@dataclass(frozen=True)
class Manifest:
    """What the ids of a folder are, and all of its files."""

    dtype: str
    vocab: int
    end: int
    tokenizer_sha256: str
    token_bytes_sha256: str
    splits: dict[str, Split]


@dataclass(frozen=True)
class Encodings:
    """A folder of shards, opened: the sizes of its files are as they should be."""

    folder: Path
    manifest: Manifest
    manifest_sha256: str

    def shard_paths(self, split: str) -> list[Path]:
        """The shards of a split in their order."""
        return [
            self.folder / shard.name for shard in self.manifest.splits[split].shards
        ]

    def document_ends(self, split: str) -> "NDArray[np.int64]":
        """[documents] index just past each end symbol, counted over all shards."""
        import numpy as np

        parts, before = [np.empty(0, np.int64)], 0
        for shard in self.manifest.splits[split].shards:
            ends = numbers_in(self.folder / shard.ends, "<u8").astype(np.int64)
            parts.append(ends + before)
            before += shard.tokens
        return np.concatenate(parts)

    def token_bytes(self) -> "NDArray[np.int64]":
        """[vocab] bytes of text that each id stands for; the end symbol none."""
        return numbers_in(self.folder / TOKEN_BYTES, "<u2").astype("int64")

    def fingerprint(self) -> str:
        """sha256 of the manifest that was opened, and so of all there was."""
        return self.manifest_sha256

    def refuse_replaced(self) -> None:
        """Raise DataError if others have taken the place of those that were opened."""
        path = self.folder / MANIFEST
        if not path.is_file() or sha256_of(path) != self.fingerprint():
            raise DataError(
                f"{self.folder}: was made anew, or removed, while it was being opened; "
                "repeat the command once nobody changes it"
            )

    def verify(self) -> None:
        """Raise DataError if any file is not as it was written, or makes no sense."""
        for name, reason in faults_of(self.folder, self.manifest):
            raise broken(self.folder / name, reason)


def encodings_folder(settings: Settings) -> Path:
    """Named by the hash of the tokenizer file and of the settings that change ids.

    Raises DataError if there is no tokenizer.
    """
    tokenizer = tokenizer_path(settings)
    if not tokenizer.is_file():
        raise DataError(
            f"{tokenizer}: there is no tokenizer; run `slangmod tokenize encode`"
        )
    content = {"tokenizer": sha256_of(tokenizer), **chance_of(settings)}
    return Path(settings.workdir) / f"encodings-{section_hash(content)}"


def chance_of(settings: Settings) -> dict[str, Any]:
    """The settings that change ids besides the tokenizer: none without dropout."""
    if not settings.tokens.dropout:
        return {}
    return {"dropout": settings.tokens.dropout, "seed": settings.seed}


def hashes_of(files: Sequence[Path]) -> list[str]:
    """sha256 of each file."""
    return [sha256_of(path) for path in files]


def made_from(
    settings: Settings, hashed: Callable[[Sequence[Path]], list[str]] = hashes_of
) -> dict[str, Any]:
    """What encodings are made from: corpus files, tokenizer, chance.

    ``hashed`` gives the sha256 of files. Raises DataError if there is no tokenizer or
    no corpus.
    """
    folder = corpus_folder(settings)
    paths = sorted(folder.glob("*.parquet"))
    for path in paths:
        refuse_irregular(path)
    names = (path.name for path in paths)
    files = dict(zip(names, hashed(paths), strict=True))
    if not files:
        raise DataError(f"{folder}: there is no corpus; run `slangmod clean`")
    tokenizer = sha256_of(tokenizer_path(settings))
    return {"corpus": files, "tokenizer": tokenizer, **chance_of(settings)}


def open_encodings(folder: Path) -> Encodings:
    """Read the manifest and compare sizes; raises DataError if anything is amiss."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise DataError(f"{folder}: there are no encodings; run `slangmod encode`")
    try:
        content = read_limited(path, LARGEST_JSON)
        manifest = _manifest_of(parsed(content))
    except OSError as error:
        raise broken(path, error.strerror or str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise broken(path, f"{type(error).__name__}: {error}") from None
    if reason := _impossible(manifest):
        raise broken(path, reason)
    width = WIDTHS[manifest.dtype]
    sizes = {TOKEN_BYTES: 2 * manifest.vocab}
    for split in manifest.splits.values():
        for shard in split.shards:
            sizes[shard.name] = width * shard.tokens
            sizes[shard.ends] = 8 * shard.documents
    for name, size in sizes.items():
        _check_size(folder / name, size)
    return Encodings(folder, manifest, hashlib.sha256(content).hexdigest())


def check_fresh(settings: Settings) -> Encodings:
    """The encodings of these settings, all of them as ``encode`` would make them now.

    Raises DataError, naming the action to repeat, if tokenizer or encodings are missing
    or broken, or were made from another corpus. Without a corpus there is nothing to
    compare with, and they are taken as they are.
    """
    folder = encodings_folder(settings)
    encodings = open_encodings(folder)
    refuse_stale(settings, folder)
    encodings.verify()
    return encodings


def refuse_stale(
    settings: Settings,
    folder: Path,
    hashed: Callable[[Sequence[Path]], list[str]] = hashes_of,
) -> None:
    """Raise DataError unless ``folder`` was made from the corpus there is, if any.

    ``hashed`` gives the sha256 of files.
    """
    if not corpus_folder(settings).is_dir():
        return
    mark = read_mark(folder)
    if mark is None:
        raise DataError(
            f"{folder / MARKER}: is missing, broken or not readable; move {folder} "
            "away, and run `slangmod encode`"
        )
    if mark.get("inputs") != made_from(settings, hashed):
        raise DataError(
            f"{folder}: was made from another corpus than "
            f"{corpus_folder(settings)}; run `slangmod tokenize encode`"
        )


def manifest_content(manifest: Manifest) -> dict[str, Any]:
    """The manifest as it goes into its file."""
    return asdict(manifest)


SPLITS: Final = ("train", "test", "validation")
WIDTHS: Final = {"uint16": 2, "uint32": 4}
"""Bytes of an id, by type."""


def _impossible(manifest: Manifest) -> str:
    """What no manifest of ours says; empty if there is nothing of that kind."""
    if manifest.dtype not in WIDTHS:
        return f"dtype {manifest.dtype!r}"
    if not 0 < manifest.vocab <= 256 ** WIDTHS[manifest.dtype]:
        return f"a vocabulary of {manifest.vocab} tokens in {manifest.dtype}"
    if not 0 <= manifest.end < manifest.vocab:
        return f"the end symbol {manifest.end} of {manifest.vocab} tokens"
    if missing := [name for name in SPLITS if name not in manifest.splits]:
        return f"no split {missing[0]!r}"
    for split in manifest.splits.values():
        if min(split.documents, split.tokens, split.bytes) < 0:
            return "a number below 0"
        if split.tokens != sum(shard.tokens for shard in split.shards):
            return "tokens of shards that do not add up"
        if split.documents != sum(shard.documents for shard in split.shards):
            return "documents of shards that do not add up"
        for shard in split.shards:
            if min(shard.documents, shard.tokens) < 0:
                return "a number below 0"
            if not (NAME.fullmatch(shard.name) and NAME.fullmatch(shard.ends)):
                return f"the name {shard.name!r} or {shard.ends!r} of a shard"
    return ""


def _manifest_of(content: Mapping[str, Any]) -> Manifest:
    splits = {name: split_of(split) for name, split in content["splits"].items()}
    return _typed(Manifest, {**content, "splits": splits})


def split_of(content: Mapping[str, Any]) -> Split:
    """A split out of plain JSON; TypeError or KeyError where it is none."""
    return _typed(Split, {**content, "shards": tuple(map(_shard, content["shards"]))})


def _shard(content: Mapping[str, Any]) -> Shard:
    return _typed(Shard, content)


def _typed[T](kind: type[T], content: Mapping[str, Any]) -> T:
    """``content`` as a ``kind`` of value; TypeError where one is of another type."""
    for field in fields(kind):  # type: ignore[arg-type]
        wanted = {"int": int, "str": str}.get(str(getattr(field.type, "__name__", "")))
        if wanted is not None and type(content[field.name]) is not wanted:
            raise TypeError(f"{field.name} = {content[field.name]!r}")
    return kind(**content)


def _check_size(path: Path, size: int) -> None:
    """A file that is there, no link to another place, and of that size."""
    try:
        status = path.lstat()
    except OSError as error:
        raise broken(path, error.strerror or str(error)) from None
    if not stat.S_ISREG(status.st_mode):
        raise broken(path, "is no file, or a link to one")
    there = status.st_size
    if there != size:
        raise broken(path, f"has {there} bytes instead of {size}")


def broken(path: Path, reason: str) -> DataError:
    """What to raise about a file of encodings, with the way out."""
    return DataError(f"{path}: {reason}; run `slangmod encode` to make it anew")
