"""manifest.json of a checkpoint: what its files were meant to be, and who wrote them.

Sizes and hashes are those of the bytes in memory, taken before a disk had them. The
manifest carries the hash of its own content, too, by a rule that no format may change.
"""

import hashlib
import json
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import torch

from slangmod import __version__
from slangmod.errors import UserError
from slangmod.files import sha256_of
from slangmod.plugins import in_one_line
from slangmod.reading import (
    LARGEST_JSON,
    IrregularError,
    parsed,
    read_json,
    read_limited,
)
from slangmod.settings.literals import brief, short
from slangmod.training.disk import forget_cached
from slangmod.training.index import TENSORS, Parts, parts_in, plain_index
from slangmod.training.tensor_file import Written

FORMAT: Final = 3
"""Of checkpoints that several processes wrote; the highest that is read."""
OF_ONE: Final = 2
"""Of those that one wrote; 1 had no hash of the manifest itself, and is still read."""
MANIFEST: Final = "manifest.json"
OWN: Final = "sha256"
"""Key of the manifest's own hash."""
PLAIN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")
"""Names of files that a checkpoint may have."""
LARGEST: Final = 1 << 62
"""Bytes of a file."""
MOST_TOLD: Final = 9
"""Files of one checkpoint that are said to be damaged."""


def own_hash(content: Mapping[str, Any]) -> str:
    """sha256 of all of ``content`` but its own hash, as JSON with sorted keys."""
    others = {key: value for key, value in content.items() if key != OWN}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def manifest_of(
    step: int,
    files: Mapping[str, Written],
    inputs: Mapping[str, str],
    index: Mapping[str, Parts] | None = None,
) -> dict[str, Any]:
    """What is written beside ``files``; ``inputs`` are hashes of what went in.

    ``index``: what is in which of them, where several processes wrote them.
    """
    of_several = {} if index is None else {TENSORS: plain_index(index)}
    content = {
        "format": OF_ONE if index is None else FORMAT,
        "step": step,
        "files": {name: asdict(known) for name, known in files.items()},
        **of_several,
        **inputs,
        "versions": {
            "slangmod": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }
    return {**content, OWN: own_hash(content)}


def text_of(content: Mapping[str, Any]) -> str:
    """The one way in which a manifest is spelt."""
    return json.dumps(content, indent=2) + "\n"


def torch_of(path: Path) -> str | None:
    """The version of torch that wrote the sound checkpoint ``path``; None if unsaid."""
    try:
        version = read_json(path / MANIFEST)["versions"]["torch"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return version if isinstance(version, str) else None


def problems_in(path: Path, step: int, needed: tuple[str, ...]) -> list[str]:
    """What is wrong with checkpoint ``path`` of ``step``, a line each.

    It must have the files that are ``needed``. Raises UserError if a newer slangmod
    has written it, which is no fault of the checkpoint, and OSError if it cannot be
    read though it is there.
    """
    place = path / MANIFEST
    try:
        text = read_limited(place, LARGEST_JSON).decode("utf-8")
        content = parsed(text)
        number, files = content["format"], content["files"]
        if type(number) is not int or number < 1:
            return [f"{place}: there is no format {brief(number)}"]
        if number != 1 and not is_as_written(content, text):
            return [f"{place}: differs from what was written"]
        if number > FORMAT:
            raise UserError(newer(path, content))
        if type(content["step"]) is not int or content["step"] != step:
            return [f"{place}: is that of step {brief(content['step'])}"]
        listed = needed_files(parts_in(content) if number == FORMAT else {}, needed)
        lacking = [f"{path / n}: is not listed" for n in listed if n not in files]
        known = {name: written_of(name, plain) for name, plain in files.items()}
    except (FileNotFoundError, NotADirectoryError):
        return [f"{place}: is missing"]
    except IsADirectoryError:
        return [f"{place}: is a folder"]
    except IrregularError as error:
        return [f"{place}: is {error.strerror}"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return [f"{place}: is no manifest ({in_one_line(error)})"]
    faults = (
        f"{path / name}: {fault}"
        for name, wanted in known.items()
        if (fault := fault_of(path / name, wanted))
    )
    return [*islice(chain(lacking, faults), MOST_TOLD)]


def is_as_written(content: Mapping[str, Any], text: str) -> bool:
    """Whether ``content`` has the hash that it says, and ``text`` spells it so."""
    return bool(content[OWN] == own_hash(content)) and text == text_of(content)


def written_of(name: str, plain: Any) -> Written:
    """What a manifest says of the file ``name``; ValueError or so if it is odd."""
    size, digest = plain["size"], plain["sha256"]
    if not PLAIN.fullmatch(name):
        raise ValueError(f"{short(name)}: is no plain name")
    if type(size) is not int or not 0 <= size <= LARGEST or not isinstance(digest, str):
        raise ValueError(f"{name}: has no size and hash")
    return Written(size, digest)


def needed_files(index: Mapping[str, Parts], needed: tuple[str, ...]) -> list[str]:
    """The files that there must be for the sets of tensors that are ``needed``."""
    whole = [name for name in needed if name not in index]
    return [*whole, *(file for parts in index.values() for file in parts.files)]


def newer(path: Path, content: Mapping[str, Any]) -> str:
    """Says which slangmod wrote ``path``, and which this is."""
    versions = content.get("versions")
    writer = versions.get("slangmod") if isinstance(versions, dict) else None
    writer = short(writer) if isinstance(writer, str) else None
    return (
        f"{path}: was written by slangmod {writer} in format "
        f"{brief(content['format'])}, and this is {__version__}, which reads formats "
        f"up to {FORMAT}; use the newer one"
    )


def fault_of(file: Path, wanted: Written) -> str | None:
    """How ``file`` differs from what was written; OSError if it cannot be read."""
    try:
        size = file.stat().st_size
        if size == wanted.size and sha256_of(file) == wanted.sha256:
            return None
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except IsADirectoryError:
        return "is a folder"
    except IrregularError as error:
        return f"is {error.strerror}"
    if size != wanted.size:
        return f"has {size} bytes, {wanted.size} were written"
    return "differs from what was written"


def misread(folder: Path, files: Mapping[str, Written]) -> Path | None:
    """The first of ``files`` that the disk gives back other than it was meant to be."""
    for name, wanted in files.items():
        forget_cached(folder / name)
        if fault_of(folder / name, wanted) is not None:
            return folder / name
    return None
