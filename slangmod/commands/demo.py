"""``slangmod demo``: from the documentation of this Python to a model that writes."""

import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from slangmod.commands.call import Call
from slangmod.commands.choosing import say
from slangmod.commands.clean import clean
from slangmod.commands.encode import encode
from slangmod.commands.tokenize import tokenize
from slangmod.commands.train import train_run
from slangmod.commands.trained import Run
from slangmod.data.shards import check_fresh
from slangmod.data.unigram import unigram_bits_per_byte
from slangmod.generation.terminal import printable
from slangmod.settings.load import resolve
from slangmod.settings.paths import corpus_folder
from slangmod.settings.resolved import Resolved
from slangmod.settings.sections import Settings
from slangmod.text.corpus import corpus_documents
from slangmod.text.sample import write_sample

LOG = logging.getLogger(__name__)

WORKDIR: Final = "demo"
PROMPTS: Final = (
    "The",
    "Return the",
    "This function",
    "If the value",
    "A class that",
    "When a file is",
)
"""What the model is asked to go on from."""

LEAST_KNOWN: Final = 0.8
"""Share of the longer words it writes that must be words of the corpus."""

LEAST_GAIN: Final = 0.4
"""By how much it must need fewer bits per byte than token frequencies alone."""

_WORD = re.compile(r"[A-Za-z]{4,}")


def run(call: Call) -> int:
    """Make a corpus, learn from it, write a sample; 1 if too little was learnt."""
    resolved = demo_settings(call.resolved)
    prepare(resolved)
    LOG.info("4/5 training a model; this takes a few minutes")
    trained = Run(train_run(resolved).root)
    LOG.info("5/5 letting it write")
    texts = []
    for prompt in PROMPTS:
        texts.append(trained.generate(prompt))
        say(f"{printable(texts[-1])}\n\n")
    learnt = judge(trained, texts, resolved.settings)
    workdir = resolved.settings.workdir
    LOG.info("go on: slangmod chat --workdir %s (or monitor, or generate)", workdir)
    return 0 if learnt else 1


def prepare(resolved: Resolved) -> None:
    """Everything that training needs: documents, corpus, tokenizer, encodings."""
    settings = resolved.settings
    LOG.info("1/5 collecting the documentation of this Python")
    write_sample(Path(settings.files.raw))
    LOG.info("2/5 cleaning it into a corpus")
    clean(settings)
    LOG.info("3/5 training a tokenizer, encoding the corpus")
    tokenize(settings)
    encode(settings)


def judge(trained: Run, texts: list[str], settings: Settings) -> bool:
    """Say how much was learnt, in two figures, and whether that is enough."""
    known = known_share(texts, corpus_documents(corpus_folder(settings), "train"))
    plain = unigram_bits_per_byte(check_fresh(settings))
    reached = trained.summary["validation"]["bits_per_byte"]
    say(
        f"words of the corpus among those of four letters or more: {known:.1%}\n"
        f"bits per byte of validation: {reached:.3f}, {1 - reached / plain:.1%} below "
        f"the {plain:.3f} of token frequencies alone\n"
    )
    enough = known >= LEAST_KNOWN and reached <= (1 - LEAST_GAIN) * plain
    if not enough:
        LOG.error(
            "it should have reached %.0f %% and %.0f %%: on a slow machine, "
            "--train.max_time 10m gives it more time",
            100 * LEAST_KNOWN,
            100 * LEAST_GAIN,
        )
    return enough


def demo_settings(given: Resolved) -> Resolved:
    """The preset of the demo, changed by what was given, in a folder of its own."""
    preset = resolve(flags=[("base", "preset:demo"), ("workdir", WORKDIR)])
    changed = preset.changed(given.given())
    raw = str(Path(changed.settings.workdir) / "sample")
    return changed.with_values({"files.raw": raw}, "the demo")


def known_share(texts: Iterable[str], documents: Iterable[str]) -> float:
    """Share of the longer words of ``texts`` that ``documents`` have, too."""
    corpus = {word for text in documents for word in words_of(text)}
    written = [word for text in texts for word in words_of(text)]
    return sum(word in corpus for word in written) / max(1, len(written))


def words_of(text: str) -> list[str]:
    """All words of four letters or more, in small letters."""
    return [word.lower() for word in _WORD.findall(text)]
