"""What a checkpoint with right hashes says, and whether a run can be made of it."""

from pathlib import Path
from typing import Any, Final

from slangmod.errors import RunError
from slangmod.reading import read_json
from slangmod.training.parts import holds, open_tensors
from slangmod.training.plain import refuse_odd_state, refuse_unknown
from slangmod.training.snapshot import MODEL, OPTIMIZER, STATE
from slangmod.training.state import AVERAGE_FILE, EVALUATED_FILE, Counters

UNCLEAR: Final = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""What it raises to take a state from something else."""


def read_state(path: Path) -> dict[str, Any]:
    """The plain values of a checkpoint, each of the type and range that it must have.

    Raises RunError, naming file and key, if one is not.
    """
    try:
        content: dict[str, Any] = read_json(path / STATE)
        refuse_odd_state(content)
    except (OSError, ValueError) as error:
        raise RunError(f"{path / STATE}: {error}") from error
    return content


def read_about(path: Path) -> dict[str, Any]:
    """What ``save_checkpoint`` was given beside the state."""
    about: dict[str, Any] = read_state(path)["about"]
    return about


def read_counters(path: Path) -> Counters:
    """How far the run had come that a sound checkpoint holds; RunError if unclear."""
    content = read_state(path)
    try:
        refuse_unknown(content)
        return Counters(**content["counters"])
    except UNCLEAR as error:
        raise RunError(f"{path}: does not fit this run: {error}") from error


def problems_within(path: Path, step: int) -> list[str]:
    """What is wrong with a checkpoint of ``step`` whose files are what was written.

    Whoever made them may have made them so. Raises OSError if they cannot be read.
    """
    try:
        reached = read_state(path)["counters"]["step"]
        if reached != step:
            return [f"{path / STATE}: is that of step {reached}"]
        for name in (MODEL, OPTIMIZER, AVERAGE_FILE, EVALUATED_FILE):
            if name in (MODEL, OPTIMIZER) or holds(path, name):
                with open_tensors(path, name) as tensors:
                    tensors.look_at_all()
    except RunError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from error
        return [str(error)]
    return []


def best_step(path: Path) -> int:
    """The step of the best checkpoint that ``path`` knows of; -1 if that is unclear."""
    try:
        return int(read_state(path)["patience"]["best_step"])
    except RunError:
        return -1
