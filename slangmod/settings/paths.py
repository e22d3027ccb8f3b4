"""Where the pipeline's folders and files lie, derived from the settings."""

from pathlib import Path

from slangmod.settings.hashes import tokens_hash
from slangmod.settings.sections import Settings


def corpus_folder(settings: Settings) -> Path:
    """The folder of cleaned documents."""
    return Path(settings.workdir) / "corpus"


def tokenizer_path(settings: Settings) -> Path:
    """``files.tokenizer``, or the file that is named by a hash of [tokens]."""
    if settings.files.tokenizer is not None:
        return Path(settings.files.tokenizer)
    return Path(settings.workdir) / f"tokenizer-{tokens_hash(settings)}.json"
