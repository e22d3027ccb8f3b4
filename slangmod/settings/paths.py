"""Where the pipeline's folders and files lie, derived from the settings."""

import re
from pathlib import Path

from slangmod.settings.hashes import tokens_hash
from slangmod.settings.sections import Settings

RUNS = "runs"
"""Folder below the working directory that holds all runs."""

TRIAL = re.compile(r"trial-[0-9]{3,9}")
"""What the folder of a run is called that is a trial, in that of its sweep."""


def run_name(folder: Path) -> str:
    """What the run in ``folder`` is called: ``first``, or ``sweep/trial-007``.

    Runs lie in a folder called runs, trials in that of their sweep, which is never
    called so.

    >>> run_name(Path("work/runs/lr/trial-007")), run_name(Path("runs/trial-007"))
    ('lr/trial-007', 'trial-007')
    """
    folder = folder.absolute()
    is_trial = TRIAL.fullmatch(folder.name) and folder.parent.name != RUNS
    return f"{folder.parent.name}/{folder.name}" if is_trial else folder.name


def corpus_folder(settings: Settings) -> Path:
    """The folder of cleaned documents."""
    return Path(settings.workdir) / "corpus"


def tokenizer_path(settings: Settings) -> Path:
    """``files.tokenizer``, or the file that is named by a hash of [tokens]."""
    if settings.files.tokenizer is not None:
        return Path(settings.files.tokenizer)
    return Path(settings.workdir) / f"tokenizer-{tokens_hash(settings)}.json"
