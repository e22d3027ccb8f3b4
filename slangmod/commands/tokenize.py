"""``tokenize``: the train split of the corpus -> tokenizer."""

import logging
import os
from pathlib import Path
from typing import Any

from slangmod.commands.call import Call
from slangmod.commands.counting import amount, counted, spaced
from slangmod.parallel.crew import crew_of
from slangmod.parallel.together import together
from slangmod.settings.derived import seconds_of
from slangmod.settings.paths import corpus_folder
from slangmod.settings.sections import Settings
from slangmod.text.corpus import corpus_digests, corpus_rows, count_rows
from slangmod.text.learning import train_codec
from slangmod.text.provenance import is_ours, made_from, write_tokenizer
from slangmod.text.tokenizer import open_codec, tokenizer_path

logger = logging.getLogger(__name__)


def run(call: Call) -> None:
    """Learn the tokenizer that the settings ask for; of a crew, the first does it."""
    crew, path = crew_of(os.environ), tokenizer_path(call.settings)
    patience = seconds_of(call.settings.parallel.timeout)
    meeting = Path(call.settings.workdir) / path.name  # which may lie elsewhere
    with together(meeting, crew, patience) as team:
        team.tell(lambda: tokenize(call.settings))


def tokenize(settings: Settings) -> None:
    """Learn a tokenizer from the train split and write it as one file.

    Does nothing if it was made from the same text with the same settings, and leaves a
    tokenizer alone that slangmod has not made. Raises DataError or SettingsError, and
    leaves everything as it was, if corpus or settings will not do.
    """
    path = tokenizer_path(settings)
    if path.exists() and not is_ours(path):
        codec = open_codec(settings)
        size = amount(codec.vocab_size, "token")
        logger.info(
            "tokenize: %s (%s) was not made by slangmod, used as it is", path, size
        )
        return
    inputs = learnt_from(settings)
    if made_from(path) == inputs:
        logger.info("tokenize: %s is up to date, nothing to do", path)
        return
    folder = corpus_folder(settings)
    rows = corpus_rows(folder, "train")
    total = count_rows(folder, "train")
    texts = (row.text for row in counted(rows, settings, "tokenize", total))
    codec = train_codec(settings, texts)
    write_tokenizer(path, codec.to_json(), inputs)
    tokens = settings.tokens
    logger.info(
        "tokenize: %s with %s in %s",
        tokens.algo,
        amount(codec.vocab_size, "token"),
        path,
    )
    if tokens.algo != "byte" and codec.vocab_size < tokens.vocab:
        logger.warning(
            "tokenize: the text yields %s tokens, fewer than tokens.vocab = %s",
            spaced(codec.vocab_size),
            spaced(tokens.vocab),
        )


def learnt_from(settings: Settings) -> dict[str, Any]:
    """What decides about the tokenizer: the train split and the settings that matter.

    Raises DataError if there is no corpus.
    """
    tokens = settings.tokens
    matters = {
        "algo": tokens.algo,
        "vocab": tokens.vocab,
        "min_freq": tokens.min_freq,
        "max_len": tokens.max_len,
        "shrink_factor": tokens.shrink_factor,
        "n_iter": tokens.n_iter,
    }
    text = corpus_digests(corpus_folder(settings), ("train",))
    return {"settings": matters, "text": text}
