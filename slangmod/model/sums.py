"""Size and sha256 of each file of a model's folder, in the mark of that folder."""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from slangmod.files import MARKER, new_file, read_mark, sha256_of

WRITTEN: Final = "written"
"""Key of the mark; what else is there is config.json once more."""

Sum = dict[str, int | str]
"""``size`` in bytes, and ``sha256``."""


def write_summed(path: Path, content: Iterable[bytes | memoryview]) -> Sum:
    """Write a file of a folder that is not yet at its place; -> what it is meant to be.

    Hashed in memory, before a disk has seen it.
    """
    size, digest = 0, sha256()
    with new_file(path) as stream:
        for piece in content:
            digest.update(piece)
            stream.write(piece)
            size += len(piece)
    return {"size": size, "sha256": digest.hexdigest()}


def faults_of_files(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each file of ``folder`` that is not what was written, and how it differs.

    Of ``names``, all of which the mark should list. Nothing is known, and nothing said,
    of a folder without a mark, or with one from before there were sums in it. Raises
    OSError where a disk refuses.
    """
    if not (folder / MARKER).exists():
        return
    mark = read_mark(folder)
    if mark is None:
        yield MARKER, "is broken or not readable"
        return
    if WRITTEN not in mark:
        return
    sums = mark[WRITTEN]
    for name in names:
        known = sums.get(name) if isinstance(sums, Mapping) else None
        if fault := _fault(folder / name, known):
            yield name, fault


def _fault(path: Path, known: Any) -> str:
    if not path.is_file():
        return "is missing"
    size = path.stat().st_size
    wanted = known.get("size") if isinstance(known, Mapping) else None
    if isinstance(wanted, int) and size != wanted:
        return f"has {size} bytes, {wanted} were written"
    if known == {"size": size, "sha256": sha256_of(path)}:
        return ""
    return "differs from what was written"
