"""Every write to disk: aside first, synced, renamed, the folder synced.

A reader sees the old file or the new one, never a part, whatever instant the process
or the machine dies at. Nothing else in the package opens a file for writing, but for
``growing``, whose files are logs and tables.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from slangmod.errors import DataError, name_place
from slangmod.reading import open_regular, read_json, refuse_link, regular
from slangmod.syncing import make_folder, sync_folder, sync_tree

ASIDE = ".aside-"
"""Prefix of what is being written; anything that bears it is ours to sweep away."""

REPLACED = ".replaced-"
"""Prefix of what gives way to a new folder of its name, until that is at its place."""

MARKER = ".slangmod.json"
"""Name of the file by which slangmod knows a folder as its own."""


def write_bytes(path: Path, content: bytes) -> None:
    """Replace or create ``path`` with ``content``, all or nothing."""
    with written_aside(path) as stream:
        stream.write(content)


def write_text(path: Path, content: str) -> None:
    """Replace or create ``path`` with ``content`` in UTF-8, all or nothing."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace or create ``path`` with readable JSON, keys in the order given."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def written_aside(path: Path) -> Iterator[BinaryIO]:
    """A stream that becomes ``path`` when the block ends well, and vanishes if not."""
    aside = path.with_name(f"{ASIDE}{uuid.uuid4().hex}-{path.name}")
    try:
        with aside.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        name_place(error, path)
        aside.unlink(missing_ok=True)
        raise


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A stream into ``path``, which must not exist, synced when the block ends well.

    For files in a folder that is not yet at its place: nothing is renamed.
    """
    with path.open("xb") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def folder_aside(path: Path, *, own: bool = False) -> Iterator[Path]:
    """An empty folder that becomes ``path`` when the block ends well.

    Its files are synced before the rename. ``path`` must not exist, or must be a
    folder that is marked as slangmod's own, or known to be ``own``: then it is
    replaced. What processes that have died left behind of the same folder is removed.
    """
    refuse_link(path)
    with folder_for_a_while(path) as aside:
        yield aside
        sync_tree(aside)
        replace_folder(aside, path, own=own)


@contextmanager
def folder_for_a_while(path: Path) -> Iterator[Path]:
    """An empty folder beside ``path``, for what is to become it; gone after the block.

    What processes that have died left behind of the same kind is removed.
    """
    first = not path.parent.exists()
    make_folder(path.parent)
    _sweep_dead(path)
    aside = path.with_name(f"{ASIDE}{uuid.uuid4().hex}-{path.name}")
    aside.mkdir()
    try:
        with _held(aside):
            yield aside
    except BaseException as error:
        name_place(error, path)
        shutil.rmtree(aside, ignore_errors=True)
        if first:
            with suppress(OSError):  # others may have used it meanwhile
                path.parent.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Lock ``folder`` against ``_sweep_dead`` while we live; False if taken."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except OSError:
            free = False
        yield free
    finally:
        os.close(descriptor)


def _sweep_dead(path: Path) -> None:
    """Remove folders that were to become ``path`` and that no process holds."""
    for leftover in path.parent.glob(f"{ASIDE}{'?' * 32}-{path.name}"):
        with suppress(OSError), _held(leftover) as dead:
            if dead:
                shutil.rmtree(leftover, ignore_errors=True)


def move(path: Path, new: Path) -> None:
    """Give a file in a folder that is aside its name in another one."""
    path.rename(new)


def replace_folder(new: Path, path: Path, *, own: bool = False) -> None:
    """Rename ``new`` to ``path``; what slangmod had made there is removed after.

    Raises DataError if ``path`` is there and is neither marked as slangmod's own, nor
    known to be its ``own``: then its only writer is the caller, and ``bring_back``
    gives the old one its name back if we die before the new one has it.
    """
    if not path.exists():
        new.rename(path)
        sync_folder(path.parent)
        return
    if not own:
        refuse_foreign(path)
    prefix = REPLACED if own else f"{ASIDE}{uuid.uuid4().hex}-"
    old = path.with_name(prefix + path.name)
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    sync_folder(path.parent)
    remove_folder(old)


def refuse_foreign(path: Path) -> None:
    """Raise DataError if ``path`` exists and slangmod has not made all of it."""
    if path.exists() and not (path / MARKER).is_file():
        raise DataError(
            f"{path}: was not made by slangmod, so it is left alone; move it away or "
            "choose another workdir"
        )
    if path.exists() and (names := unlisted(path)):
        raise DataError(
            f"{path / names[0]}: was not made by slangmod, so {path} is left alone; "
            "move that away"
        )


def mark(folder: Path, content: Mapping[str, Any]) -> None:
    """Sign ``folder`` as slangmod's own, with what it was made from."""
    write_json(folder / MARKER, content)


def read_mark(folder: Path) -> dict[str, Any] | None:
    """What ``mark`` wrote into ``folder``, or None where there is no sound mark."""
    try:
        content = read_json(folder / MARKER)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def remove_folder(path: Path) -> None:
    """Remove ``path``, which is slangmod's own, so that no part is seen under its name.

    What is left of it where the disk refuses is taken for an interrupted write.
    """
    doomed = path.with_name(f"{ASIDE}{uuid.uuid4().hex}-{path.name}")
    path.rename(doomed)
    shutil.rmtree(doomed)


def bring_back(folder: Path, ending: str = "") -> None:
    """Give what was about to be replaced in ``folder``, and was not, its name again.

    Of names with that ``ending``, whose only writer the caller is. What has taken the
    place of another is durable, too, when this returns.
    """
    replaced = list(folder.glob(f"{REPLACED}*{ending}"))
    for old in replaced:
        path = old.with_name(old.name.removeprefix(REPLACED))
        if not path.exists():
            old.rename(path)
    if replaced:
        sync_folder(folder)


def sweep_asides(folder: Path, ending: str = "") -> None:
    """Remove what interrupted writes left in ``folder``, of names with that ``ending``.

    What was about to be replaced and was not is at its place again. Only for names
    whose only writer the caller is.
    """
    bring_back(folder, ending)
    for old in folder.glob(f"{REPLACED}*{ending}"):
        remove_folder(old)
    for leftover in folder.glob(f"{ASIDE}*{ending}"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def cut(path: Path, size: int) -> None:
    """Drop all of ``path`` behind its first ``size`` bytes, durably."""
    descriptor = regular(path, os.O_RDWR)
    try:
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unlisted(folder: Path) -> tuple[str, ...]:
    """What lies in a marked folder though its mark lists the files and this not."""
    listed = (read_mark(folder) or {}).get("files")
    if not isinstance(listed, dict):
        return ()
    names = sorted(path.name for path in folder.iterdir())
    return tuple(n for n in names if n not in listed and n != MARKER)


def unsound(folder: Path) -> tuple[str, ...]:
    """Files that a folder's mark lists, with their sha256, and that differ or lack."""
    listed = (read_mark(folder) or {}).get("files")
    if not isinstance(listed, dict):
        return ()
    return tuple(
        name
        for name, digest in listed.items()
        if "/" in name
        or not (folder / name).is_file()
        or sha256_of(folder / name) != digest
    )


@contextmanager
def scratch() -> Iterator[BinaryIO]:
    """An unnamed temporary file to write and read, gone when the block ends."""
    with tempfile.TemporaryFile() as stream:
        yield stream


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of the file's bytes; OSError if it is no regular file."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
