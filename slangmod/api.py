"""Runs from Python: train one, open one, and use what it has learnt."""

from collections.abc import Iterable
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
    run = train_run(Resolved.of(settings), overwrite=overwrite)
    return Run(run.root, settings.plugins.allow)


def open_run(folder: str | Path, allow: Iterable[str] = ()) -> Run:
    """A run that was trained before, such as ``open_run("runs/first")``.

    ``allow``: packages besides torch and slangmod from which its classes may be
    imported, as in ``plugins.allow``; what the run itself allows does not count.
    """
    return Run(folder, allow)
