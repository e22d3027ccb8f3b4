"""Weights that a new run starts from: those of another run, or of a model's folder."""

from pathlib import Path

from torch import Tensor

from slangmod.data.shards import Encodings
from slangmod.errors import DataError, SettingsError
from slangmod.files import sha256_of
from slangmod.model.folder import CONFIG, TOKENIZER, WEIGHTS, load_model, read_config
from slangmod.runs.directory import RunDir
from slangmod.runs.overview import flat
from slangmod.settings.literals import brief
from slangmod.settings.sections import Model, Settings

MAY_DIFFER = ("compile", "dropout", "logit_softcap", "scale_grad_by_freq")
"""Settings of [model] that neither shape weights nor change what they stand for."""


def initial_weights(
    settings: Settings, encodings: Encodings
) -> dict[str, Tensor] | None:
    """The weights that ``train.init_from`` names, in host memory; None if unset.

    Raises SettingsError that lists where they would not fit the model of ``settings``
    or the ids of ``encodings``, DataError if there is no sound model.
    """
    if settings.train.init_from is None:
        return None
    folder = model_folder(Path(settings.train.init_from))
    section, vocab, _ = read_config(folder / CONFIG, settings.plugins.allow)
    problems = differences(section, settings.model)
    known, found = encodings.manifest.tokenizer_sha256, sha256_of(folder / TOKENIZER)
    if found != known:
        problems.append(
            f"{folder / TOKENIZER} is not the tokenizer of {encodings.folder} "
            f"({found:.16}, not {known:.16}); its tokens mean other text: name it with "
            "files.tokenizer, and run `slangmod encode`"
        )
    elif vocab != encodings.manifest.vocab:
        problems.append(
            f"{folder / CONFIG} has a vocabulary of {vocab} tokens, and "
            f"{encodings.folder} one of {encodings.manifest.vocab}"
        )
    if problems:
        named = f"train.init_from = {brief(settings.train.init_from)}"
        raise SettingsError(*(f"{named}: {problem}" for problem in problems))
    return load_model(folder, settings.plugins.allow).state_dict()


def model_folder(place: Path) -> Path:
    """The folder of a model that ``place`` is, or that the run there has.

    Raises DataError if it is neither, or the run has none yet.
    """
    folder = RunDir(place).model if RunDir(place).exists() else place
    missing = [
        name for name in (WEIGHTS, CONFIG, TOKENIZER) if not (folder / name).is_file()
    ]
    if not missing:
        return folder
    if folder != place:
        raise DataError(
            f"train.init_from: {folder / missing[0]}: there is no model yet; it is "
            "written when training ends, and `slangmod resume` goes on with a run that "
            "was stopped"
        )
    raise DataError(
        f"train.init_from: {place}: is neither a run nor the folder of a model (it has "
        f'no {missing[0]}); name one, such as "runs/first"'
    )


def differences(there: Model, here: Model) -> list[str]:
    """Where two models differ in what their weights are, a line for each setting."""
    theirs, ours = shape_of(there), shape_of(here)
    return [
        f"model.{name} is {brief(ours.get(name))}, and that model has "
        f"{brief(theirs.get(name))}; make them the same"
        for name in dict.fromkeys((*ours, *theirs))
        if ours.get(name) != theirs.get(name)
    ]


def shape_of(section: Model) -> dict[str, object]:
    """The settings that weights depend on, by dotted name, defaults spelled out.

    How far the model sees is one of them only where each position has its own weights.
    """
    learnt = section.positions == "learnable"
    leave = {*MAY_DIFFER} | (set() if learnt else {"context"})
    values = flat(section.model_dump(exclude=leave))
    return {**values, "n_kv_heads": section.n_kv_heads or section.n_heads}
