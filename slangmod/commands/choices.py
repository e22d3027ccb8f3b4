"""What the program chooses at the start of a run, which is part of the run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter

from slangmod.data.shards import Encodings
from slangmod.errors import RunError
from slangmod.runs.environment import cpu_name
from slangmod.settings.literals import printable
from slangmod.settings.sections import Settings
from slangmod.training.manifest import torch_of


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
    device: torch.device,
    threads: int,
    *,
    deterministic: bool,
    processes: int = 1,
    moved: str = "",
) -> str:
    """Where a run computes, and whether it ends with the same bits when resumed.

    ``moved``: what is not as it was where it was saved, in words.
    """
    exact = (
        "a resumed run ends with the same bits"
        if deterministic
        else "NOT bit-exact when resumed; deterministic = true makes it so"
    )
    if deterministic and moved:
        exact = f"NOT bit-exact from here on: {moved}"
    elif processes > 1:
        exact += f" by {processes} processes" if deterministic else ""
        return f"{processes} x {device.type}, {threads} threads each; {exact}"
    return f"{device}, {threads} threads; {exact}"


def about_run(
    settings: Settings, encodings: Encodings, choices: Choices
) -> dict[str, Any]:
    """What a checkpoint remembers beside the state: inputs, settings and choices."""
    return {
        "choices": plain(choices),
        "processor": processor_of(torch.device(choices.device)),
        "tokenizer_sha256": encodings.manifest.tokenizer_sha256,
        "data_sha256": encodings.fingerprint(),
        "settings": settings.model_dump(mode="json"),
    }


def processor_of(device: torch.device) -> str:
    """What computes, in words: another one may round otherwise."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return cpu_name()


def moved_from(checkpoint: Path, about: Mapping[str, Any], device: torch.device) -> str:
    """What of torch and processor is another than when ``checkpoint`` was saved.

    Empty where nothing is known to be.
    """
    then = {"torch": torch_of(checkpoint), "processor": about.get("processor")}
    now = {"torch": torch.__version__, "processor": processor_of(device)}
    return ", ".join(
        f"{what} was {printable(str(then[what]))} and is {now[what]}"
        for what in now
        if then[what] not in (None, now[what])
    )


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
