"""What the program chooses at the start of a run, which is part of the run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter

from slangmod.data.shards import Encodings
from slangmod.errors import RunError
from slangmod.settings.sections import Settings


@dataclass(frozen=True)
class Choices:
    """What the program chose at the start of a run, and keeps when it resumes."""

    device: str
    threads: Annotated[int, Field(ge=1, le=1024)]
    compiled: bool
    deterministic: bool
    rows: Annotated[int, Field(ge=1)] | None = None  # at a time; None: a mini-batch's
    onednn: bool = False  # whether products in float32 are left to oneDNN
    strategy: str | None = None  # of several processes; None: there was only one


def promise(
    device: torch.device, threads: int, *, deterministic: bool, processes: int = 1
) -> str:
    """Where a run computes, and whether it ends with the same bits when resumed."""
    exact = (
        "a resumed run ends with the same bits"
        if deterministic
        else "NOT bit-exact when resumed; deterministic = true makes it so"
    )
    if processes > 1:
        exact += f" by {processes} processes" if deterministic else ""
        return f"{processes} x {device.type}, {threads} threads each; {exact}"
    return f"{device}, {threads} threads; {exact}"


def about_run(
    settings: Settings, encodings: Encodings, choices: Choices
) -> dict[str, Any]:
    """What a checkpoint remembers beside the state: inputs, settings and choices."""
    return {
        "choices": plain(choices),
        "tokenizer_sha256": encodings.manifest.tokenizer_sha256,
        "data_sha256": encodings.fingerprint(),
        "settings": settings.model_dump(mode="json"),
    }


def plain(choices: Choices) -> dict[str, Any]:
    """Ready for JSON; of one process as before there were several."""
    table = asdict(choices)
    if choices.strategy is None:
        del table["strategy"]
    return table


def choices_of(about: Mapping[str, Any]) -> Choices:
    """The choices that a checkpoint remembers; RunError if it does not."""
    try:
        choices: Choices = TypeAdapter(Choices).validate_python(about["choices"])
    except (KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"the run does not say what it chose: {reason}") from error
    return choices
