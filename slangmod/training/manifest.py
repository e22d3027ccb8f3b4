"""manifest.json of a checkpoint: what its files were meant to be, and who wrote them.

Sizes and hashes are those of the bytes in memory, taken before a disk had them. The
manifest carries the hash of its own content, too, by a rule that no format may change.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch

from slangmod import __version__
from slangmod.errors import UserError
from slangmod.files import sha256_of
from slangmod.reading import (
    LARGEST_JSON,
    IrregularError,
    parsed,
    read_json,
    read_limited,
)
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
        versions = read_json(path / MANIFEST)["versions"]
        return None if versions["torch"] is None else str(versions["torch"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
        if number != 1 and (content[OWN], text) != (
            own_hash(content),
            text_of(content),
        ):
            return [f"{place}: differs from what was written"]
        if type(number) is int and number > FORMAT:
            raise UserError(newer(path, content))
        if number not in (1, OF_ONE, FORMAT):
            return [f"{place}: there is no format {number!r}"]
        if content["step"] != step:
            return [f"{place}: is that of step {content['step']!r}"]
        listed = needed_files(parts_in(content) if number == FORMAT else {}, needed)
        lacking = [f"{path / n}: is not listed" for n in listed if n not in files]
        if odd := [name for name in files if Path(name).name != name]:
            return [f"{place}: lists {odd[0]!r}, which is no plain name"]
        known = {n: Written(int(f["size"]), f["sha256"]) for n, f in files.items()}
    except (FileNotFoundError, NotADirectoryError):
        return [f"{place}: is missing"]
    except IsADirectoryError:
        return [f"{place}: is a folder"]
    except IrregularError as error:
        return [f"{place}: is {error.strerror}"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return [f"{place}: is no manifest ({type(error).__name__}: {error})"]
    return lacking + [
        f"{path / name}: {fault}"
        for name, wanted in known.items()
        if (fault := fault_of(path / name, wanted))
    ]


def needed_files(index: Mapping[str, Parts], needed: tuple[str, ...]) -> list[str]:
    """The files that there must be for the sets of tensors that are ``needed``."""
    whole = [name for name in needed if name not in index]
    return [*whole, *(file for parts in index.values() for file in parts.files)]


def newer(path: Path, content: Mapping[str, Any]) -> str:
    """Says which slangmod wrote ``path``, and which this is."""
    versions = content.get("versions")
    writer = versions.get("slangmod") if isinstance(versions, dict) else None
    return (
        f"{path}: was written by slangmod {writer} in format {content['format']}, and "
        f"this is {__version__}, which reads formats up to {FORMAT}; use the newer one"
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
