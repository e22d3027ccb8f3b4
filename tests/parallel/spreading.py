"""Runs whose weights are spread over the processes of a yard."""

from pathlib import Path

from slangmod.training.checkpoint import list_checkpoints
from slangmod.training.parts import file_of
from tests.parallel.yard import Yard

MODEL, OPTIMIZER = "model.safetensors", "optimizer.safetensors"
FSDP = ("--parallel.strategy", "fsdp")


def spread(yard: Yard, config: str, size: int) -> Path:
    """A run of spread weights that nothing interrupted, trained once.

    Its settings are ``CONFIG-fsdp``.
    """
    name = f"{config}-fsdp"
    if not (yard.folder / f"{name}.toml").exists():
        text = f'base = "{config}.toml"\n[parallel]\nstrategy = "fsdp"\n'
        (yard.folder / f"{name}.toml").write_text(text, "utf-8")
    return yard.whole(name, size)


def last(run: Path) -> Path:
    """The newest checkpoint of a run."""
    return list_checkpoints(run / "checkpoints")[0]


def content(path: Path, name: str = MODEL) -> bytes:
    """The bytes of a set of tensors, in however many files they are."""
    return b"".join(file_of(path, name))
