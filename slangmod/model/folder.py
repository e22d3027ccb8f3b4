"""A model on disk: model.safetensors, config.json, tokenizer.json, and no pickle."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from slangmod import files
from slangmod.errors import DataError, SettingsError
from slangmod.model.build import DOCUMENT_END, assemble, skeleton
from slangmod.model.sums import WRITTEN, faults_of_files, write_summed
from slangmod.model.transformer import Transformer
from slangmod.reading import open_regular, read_json
from slangmod.settings.rules import clashes
from slangmod.settings.sections import Data, Model, Plugins, Settings

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
FILES = WEIGHTS, CONFIG, TOKENIZER
FORMAT = 1
"""Of config.json; raised when its meaning changes."""

MOST_LAYERS = 1 << 16
SMALL_TABLE = 1 << 30
"""Bytes of a table of positions that are put up with whatever the size of a model."""

NAMES = {"float32": "F32"}
"""How safetensors spells the types that weights may have."""


def save_model(
    folder: Path,
    model: Transformer,
    tokenizer: bytes,
    content: Iterable[bytes | memoryview] | None = None,
) -> None:
    """Write weights, description and the content of a tokenizer file, all or nothing.

    ``content``: what the file of weights will hold, piece by piece, where ``model`` is
    spread over several processes. What slangmod had written to ``folder`` before is
    replaced. Equal weights are equal bytes, and a tied matrix is stored once. Raises
    DataError if ``folder`` is there and is not slangmod's own.
    """
    if content is None:
        weights = {name: w.contiguous() for name, w in model.state_dict().items()}
        content = [save(weights, {"format": "pt"})]
    description = {"format": FORMAT, **model.config}
    with files.folder_aside(folder) as aside:
        text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
        pieces = {WEIGHTS: content, CONFIG: [text.encode()], TOKENIZER: [tokenizer]}
        sums = {name: write_summed(aside / name, pieces[name]) for name in FILES}
        files.mark(aside, {**description, WRITTEN: sums})


def load_model(folder: Path, allow: Iterable[str] = ()) -> Transformer:
    """The model that ``save_model`` wrote: on the CPU, in evaluation mode.

    Activations and gates that are classes come from torch, slangmod and the packages
    in ``allow``: what a folder names is never imported on its word alone. Raises
    DataError, naming file and fault, before memory is set aside for what does not fit.
    """
    packages = tuple(allow)
    section, vocab, end = read_config(folder / CONFIG, packages)
    path = folder / WEIGHTS
    try:
        for name, fault in faults_of_files(folder, FILES):
            raise DataError(
                f"{folder / name}: {fault}; bring it back from a backup, or remove "
                f"{folder}, and `slangmod resume` of its run writes it anew"
            )
        # Of any file that it may not read, the library says that there is none.
        open_regular(path).close()
        with safe_open(path, framework="pt") as stored:
            refuse_absurd(folder, section, len(stored.keys()))
            described = outline(folder / CONFIG, section, vocab, packages, end)
            check_weights(path, stored, described)
            model = assemble(section, vocab, packages, end)
            names = model.state_dict().keys()
            model.load_state_dict({name: stored.get_tensor(name) for name in names})
    except SettingsError as error:
        raise DataError(f"{folder / CONFIG}: {error}") from error
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: {reason}; train the model again") from error
    return model.eval()


def faults_of_model(folder: Path) -> Iterator[str]:
    """Each file of a model that is missing, or is not what was written, and how.

    A model from before there were hashes only has to be there. Raises OSError where a
    disk refuses to read.
    """
    known = dict(faults_of_files(folder, FILES))
    for name in FILES:
        if not (folder / name).is_file():
            known[name] = "is missing"
    for name, fault in known.items():
        yield f"{folder / name}: {fault}"


class Description(NamedTuple):
    """What config.json says of a model."""

    section: Model
    vocab: int
    """token ids"""
    end: int | None
    """the end symbol, where tokens see their own document alone"""


def read_config(path: Path, allow: tuple[str, ...]) -> Description:
    """What config.json names: [model], the size of the vocabulary, the end symbol.

    Raises DataError if it is missing, broken, of another format, or if it names a class
    that is not of the packages in ``allow``.
    """
    try:
        content = read_json(path)
        if content["format"] != FORMAT:
            raise DataError(
                f"{path}: format {content['format']!r}, but this slangmod reads "
                f"{FORMAT}; read it with the slangmod that wrote it"
            )
        # As JSON, which has lists where settings have tuples.
        section = Model.model_validate_json(json.dumps(content["model"]))
        vocab, end = content["vocab"], content.get(DOCUMENT_END)
    except FileNotFoundError:
        raise DataError(
            f"{path}: there is no model yet; it is written when training ends, and "
            "`slangmod resume` goes on with a run that was stopped"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{path}: model.{place}: {first['msg']}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not the description of a model: {error}") from error
    described = Description(section, vocab, end)
    refuse_impossible(path, described, allow)
    return described


def refuse_impossible(
    path: Path, described: Description, allow: tuple[str, ...]
) -> None:
    """Raise DataError unless there can be such a model, of classes that are allowed."""
    section, vocab, end = described
    layers = sum(table.repeat for table in section.layer) or section.n_layers
    if layers > MOST_LAYERS:
        raise DataError(f"{path}: {layers} layers; {MOST_LAYERS} are the most")
    known = Settings(model=section, data=Data(seq_len=1), plugins=Plugins(allow=allow))
    for clash in clashes(known):
        raise DataError(f"{path}: {clash.keys[0]}: {clash.reason}")
    if section.n_layers != layers:
        raise DataError(
            f"{path}: model.n_layers = {section.n_layers}, but model.layer has {layers}"
        )
    if type(vocab) is not int or vocab < 1:
        raise DataError(f"{path}: vocab = {vocab!r}: must be a positive integer")
    if end is not None and (type(end) is not int or not 0 <= end < vocab):
        raise DataError(
            f"{path}: {DOCUMENT_END} = {end!r}: must be a token below vocab"
        )


def outline(
    path: Path, section: Model, vocab: int, allow: tuple[str, ...], end: int | None
) -> Transformer:
    """The model without memory; DataError, naming ``path``, if no memory is enough."""
    try:
        return skeleton(section, vocab, allow, end)
    except (RuntimeError, OverflowError, TypeError) as error:
        raise DataError(f"{path}: {str(error).splitlines()[0]}") from error


def refuse_absurd(folder: Path, section: Model, stored: int) -> None:
    """Raise DataError if ``section`` asks for more than ``stored`` weights could have.

    They do not tell of tables of positions, which are worked out: these may take as
    much as all weights, or what any machine has.
    """
    place, layers = folder / CONFIG, section.n_layers
    if layers > stored:
        raise DataError(
            f"{place}: describes {layers} layers, but {WEIGHTS} holds {stored} tensors"
        )
    table, there = 4 * section.context * section.dim, (folder / WEIGHTS).stat().st_size
    if section.positions != "learnable" and table > max(SMALL_TABLE, there):
        raise DataError(
            f"{place}: model.context = {section.context}: its table of positions would "
            f"take {table} bytes, and all weights take {there}; bring back the file "
            "that was written"
        )


def check_weights(path: Path, stored: Any, expected: Transformer) -> None:
    """Raise DataError unless names, shapes and types in the file are those expected."""
    weights = expected.state_dict()
    names = set(stored.keys())
    for name in sorted(names ^ weights.keys()):
        fault = "is not part of this model" if name in names else "is missing"
        raise DataError(f"{path}: {name} {fault} ({CONFIG} describes another)")
    for name, weight in weights.items():
        piece = stored.get_slice(name)
        found = (tuple(piece.get_shape()), piece.get_dtype())
        wanted = (tuple(weight.shape), NAMES[str(weight.dtype).removeprefix("torch.")])
        if found != wanted:
            raise DataError(
                f"{path}: {name} is {found[1]} {list(found[0])}, but {CONFIG} asks for "
                f"{wanted[1]} {list(wanted[0])}"
            )
