"""Runs from Python: train one, open one, and use what it has learnt."""

from pathlib import Path

from slangmod.commands.train import train_run
from slangmod.commands.trained import Run
from slangmod.errors import UserError
from slangmod.settings import Settings
from slangmod.settings.resolved import Resolved

__all__ = ["Run", "open_run", "train"]


def train(settings: Settings, *, overwrite: bool = False) -> Run:
    """Train a run from scratch, as ``slangmod train`` does.

    Corpus, tokenizer and encodings must be there and fresh. Raises UserError where
    they are not, where the run exists and is not to be overwritten, or where several
    are asked for.
    """
    if settings.repeat > 1:
        raise UserError(
            f"repeat = {settings.repeat}: this trains one run; call it for each seed, "
            "with a name of its own"
        )
    return Run(train_run(Resolved.of(settings), overwrite=overwrite).root)


def open_run(folder: str | Path) -> Run:
    """A run that was trained before, such as ``open_run("runs/first")``."""
    return Run(folder)
