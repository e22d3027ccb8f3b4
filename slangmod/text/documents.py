"""Raw files: which ones there are, and which split a file or a document belongs to."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slangmod.errors import DataError
from slangmod.files import MARKER, sha256_of

SPLITS: Final = ("train", "test", "validation")
KINDS: Final = (".txt", ".jsonl", ".parquet")
PACKINGS: Final = ("", ".gz", ".zst")
KNOWN: Final = "it can be .txt, .jsonl and .parquet, each also .gz and .zst"

OWN_FOLDERS: Final = ("corpus", "runs")
OWN_PREFIX: Final = "encodings-"
"""Folders of the working directory that hold results, never raw text."""


@dataclass(frozen=True)
class RawFile:
    """One file of raw documents."""

    path: Path
    name: str
    """path below ``files.raw``, parts joined by slashes"""
    kind: str
    """one of KINDS"""
    packing: str
    """one of PACKINGS"""


def find_files(raw: str, suffix: str | None, workdir: str) -> tuple[RawFile, ...]:
    """All raw files in order of their names, the same on every machine.

    A folder is searched through and through, except for hidden files and folders and
    for what slangmod itself has made. Raises DataError if there is nothing to read.
    """
    root = Path(raw)
    if not root.exists():
        raise DataError(f'files.raw = "{raw}": there is no such file or folder')
    refuse_own(root, workdir)
    if root.is_file():
        found = [_classify(root, root.name, suffix)]
    else:
        paths = ((p.relative_to(root).as_posix(), p) for p in _walk(root, workdir))
        found = [_classify(path, name, suffix) for name, path in sorted(paths)]
    files = tuple(file for file in found if file is not None)
    for file in files:
        if (
            plain := file.name.encode("utf-8", "backslashreplace").decode()
        ) != file.name:
            raise DataError(f"{plain}: its name is not UTF-8; rename it")
    if not files:
        what = "not a file" if root.is_file() else "holds no file"
        ending = f' that ends in "{suffix}" (files.suffix)' if suffix else ""
        raise DataError(f'files.raw = "{raw}": {what}{ending}; {KNOWN}')
    return files


def refuse_own(root: Path, workdir: str) -> None:
    """Raise DataError if ``root`` is one of the folders that slangmod writes."""
    # Unlike Path.resolve, realpath never raises where links lead in a circle.
    place, own = Path(os.path.realpath(root)), Path(os.path.realpath(workdir))
    for folder in (place, *place.parents):
        if folder == own / "corpus" or (folder / MARKER).is_file():
            raise DataError(
                f'files.raw = "{root}": {folder} holds results of slangmod, not '
                "raw documents; name the file or folder that they were made from"
            )


def split_of_file(name: str) -> str | None:
    """The split that a file's name asks for, or None where it says nothing.

    The last part of the name counts, whatever its case, then folders that are called
    just like a split. Of several words, held-out text wins over training text.
    """
    *folders, last = name.lower().split("/")
    for split in reversed(SPLITS):
        if split in last:
            return split
    for split in reversed(SPLITS):
        if split in folders:
            return split
    return None


def split_of_text(text: str) -> str:
    """98 of 100 texts belong to train, 1 to test and 1 to validation, by sha256."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    place = int.from_bytes(digest[:8], "big") % 100
    return {98: "test", 99: "validation"}.get(place, "train")


def fingerprints(
    files: tuple[RawFile, ...], *, unreadable: bool = False
) -> dict[str, str]:
    """sha256 of each raw file, by name.

    Of a file that cannot be read the reason, where ``unreadable`` ones are put up
    with; if not, raises DataError.
    """
    found = {}
    for file in files:
        try:
            found[file.name] = sha256_of(file.path)
        except OSError as error:
            if not unreadable:
                raise DataError(f"{error.filename}: {error.strerror}") from None
            found[file.name] = str(error.strerror)
    return found


def _classify(path: Path, name: str, suffix: str | None) -> RawFile | None:
    lower = path.name.lower()
    if suffix is not None and not lower.endswith(suffix.lower()):
        return None
    for kind in KINDS:
        for packing in PACKINGS:
            if lower.endswith(kind + packing):
                return RawFile(path, name, kind, packing)
    return None


def _walk(root: Path, workdir: str) -> Iterator[Path]:
    """Every file below ``root`` that is neither hidden nor made by slangmod."""
    work = os.path.realpath(workdir)
    seen: set[tuple[int, int]] = set()
    for where, folders, names in os.walk(root, onerror=_refuse, followlinks=True):
        here = Path(where)
        status = here.stat()
        if (status.st_dev, status.st_ino) in seen or (here / MARKER).is_file():
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        own = os.path.realpath(here) == work
        folders[:] = sorted(name for name in folders if not _skipped(name, own))
        for name in names:
            if not name.startswith(".") and (here / name).is_file():
                yield here / name


def _skipped(folder: str, in_workdir: bool) -> bool:
    own = folder in OWN_FOLDERS or folder.startswith(OWN_PREFIX)
    return folder.startswith(".") or (in_workdir and own)


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename}: {error.strerror}")
