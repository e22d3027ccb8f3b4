"""The tokenizer that belongs to a model: the one that lies beside it, unchanged."""

from pathlib import Path

from slangmod.errors import DataError
from slangmod.model.folder import TOKENIZER
from slangmod.model.sums import faults_of_files
from slangmod.text.tokenizer import Codec


def codec_of(folder: Path, vocab: int, eos_string: str) -> Codec:
    """The tokenizer in the ``folder`` of a model that knows ``vocab`` tokens.

    Raises DataError if it is not sound, not what was written there, or another's.
    """
    path = folder / TOKENIZER
    try:
        for name, fault in faults_of_files(folder, (TOKENIZER,)):
            raise DataError(
                f"{folder / name}: {fault}; bring it back from a backup, or remove "
                f"{folder}, and `slangmod resume` of its run writes it anew"
            )
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    codec = Codec.load(path, eos_string)
    if vocab != codec.vocab_size:
        raise DataError(
            f"{folder}: the model knows {vocab} tokens, its tokenizer "
            f"{codec.vocab_size}; they do not belong together"
        )
    return codec
