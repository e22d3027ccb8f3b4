"""What settings must be to each other: rules that no single line can say.

A rule looks at all settings and names the keys that clash, the one to change first.
To add one: a function, and its name in RULES. Those of [model] and [optimizer] are in
model_rules.py and optimizer_rules.py.
"""

import codecs
import re
from collections.abc import Iterator

from slangmod.files import ASIDE
from slangmod.settings.clash import Clash, Rule
from slangmod.settings.derived import overlap_tokens, seconds_of
from slangmod.settings.model_rules import (
    heads_divide_width,
    rotary_turns_pairs,
    zeros_can_grow,
)
from slangmod.settings.moments import moments_fit
from slangmod.settings.optimizer_rules import (
    OPTIONS,
    groups_fit_optimizer,
    groups_have_weights,
    options_are_for_classes,
    options_fit_optimizer,
)
from slangmod.settings.plugins import classes_are_allowed, packages_are_names
from slangmod.settings.sections import Settings, Stage
from slangmod.settings.stages import stages_of

__all__ = ["LEAST_VOCAB", "OPTIONS", "RULES", "Clash", "clashes"]

LEAST_VOCAB = {"bpe": 257, "unigram": 257, "wordpiece": 513, "byte": 0}
"""The smallest vocabulary that can spell any text, with the end symbol: all 256 bytes,
in WordPiece at the start of a word and within. "byte" has 257 whatever is asked for."""


def clashes(settings: Settings) -> list[Clash]:
    """All clashes there are in ``settings``, and in each stage by what it changes."""
    found = [clash for rule in RULES for clash in rule(settings)]
    for plan, stage in zip(stages_of(settings), settings.stage, strict=False):
        changes = [name for name, _ in stage.changes]
        for rule in RULES:
            for clash in rule(plan.settings):
                if not set(changes).isdisjoint(clash.keys):
                    keys = (
                        f"stage.{plan.number}.{key}" if key in changes else key
                        for key in clash.keys
                    )
                    found.append(Clash(tuple(keys), clash.reason))
    return found


def row_fits_context(settings: Settings) -> Iterator[Clash]:
    """The model must be able to see a whole row."""
    if settings.data.seq_len > settings.model.context:
        yield Clash(
            ("data.seq_len", "model.context"),
            "data.seq_len must be at most model.context",
        )


def overlap_leaves_progress(settings: Settings) -> Iterator[Clash]:
    """Each row must go beyond the one before; tokens come whole."""
    data = settings.data
    if data.overlap >= 1 and data.overlap != int(data.overlap):
        yield Clash(
            ("data.overlap",), "must be a whole number of tokens, or a share below 1"
        )
    elif overlap_tokens(data.seq_len, data.overlap) >= data.seq_len:
        yield Clash(
            ("data.overlap", "data.seq_len"),
            "data.overlap must come to fewer tokens than data.seq_len",
        )


def frequencies_within_a_step(settings: Settings) -> Iterator[Clash]:
    """Counts of tokens are per mini-batch; over several they would not add up."""
    if settings.model.scale_grad_by_freq and settings.train.step_freq > 1:
        yield Clash(
            ("model.scale_grad_by_freq", "train.step_freq"),
            "model.scale_grad_by_freq needs train.step_freq = 1",
        )


def vocab_spells_all_bytes(settings: Settings) -> Iterator[Clash]:
    """No text is unrepresentable."""
    tokens = settings.tokens
    least = LEAST_VOCAB[tokens.algo]
    if tokens.vocab < least:
        yield Clash(
            ("tokens.vocab", "tokens.algo"),
            f"tokens.vocab must be at least {least} for {tokens.algo}",
        )


def regex_compiles(settings: Settings) -> Iterator[Clash]:
    """``eos_regex`` is a regular expression of Python."""
    try:
        re.compile(settings.tokens.eos_regex or "")
    except (re.error, RecursionError, OverflowError) as error:
        yield Clash(
            ("tokens.eos_regex",), f"must be a regular expression of Python: {error}"
        )


def encoding_is_known(settings: Settings) -> Iterator[Clash]:
    """The character set is one that Python knows."""
    name = settings.files.encoding
    try:
        known = "".encode(name) == b"" or codecs.lookup(name).name != ""
    except (LookupError, ValueError):
        known = False
    if not known:
        yield Clash(
            ("files.encoding",),
            'must be a character set that Python knows, such as "cp1252" or "ascii"',
        )


def amounts_are_whole(settings: Settings) -> Iterator[Clash]:
    """From 1 on ``chat.k`` is a number of tokens, below it is a share."""
    k = settings.chat.k
    if k >= 1 and k != int(k):
        yield Clash(("chat.k",), "must be a whole number of tokens, or a share below 1")


def time_is_not_up(settings: Settings) -> Iterator[Clash]:
    """No training fits into no time."""
    longest = settings.train.max_time
    if longest is not None and seconds_of(longest) <= 0:
        yield Clash(("train.max_time",), "must be more than no time")


def rates_are_in_order(settings: Settings) -> Iterator[Clash]:
    """The least rate, the rate, the greatest rate."""
    train = settings.train
    if train.min_learning_rate > train.learning_rate:
        yield Clash(
            ("train.min_learning_rate", "train.learning_rate"),
            "train.min_learning_rate must be at most train.learning_rate",
        )
    top = train.max_learning_rate
    if top is not None and top < train.learning_rate:
        yield Clash(
            ("train.max_learning_rate", "train.learning_rate"),
            "train.max_learning_rate must be at least train.learning_rate",
        )


def name_is_a_folder(settings: Settings) -> Iterator[Clash]:
    """The name of a run is the name of a folder of its own."""
    name = settings.name
    if name in (".", "..") or (name or "").startswith(ASIDE):
        yield Clash(("name",), "is no name for a folder; choose another")


def paths_are_paths(settings: Settings) -> Iterator[Clash]:
    """A path is not empty and has no character that no system allows in one."""
    for key, path in (
        ("workdir", settings.workdir),
        ("files.raw", settings.files.raw),
        ("files.tokenizer", settings.files.tokenizer),
        ("train.init_from", settings.train.init_from),
    ):
        if path == "" or "\0" in (path or ""):
            yield Clash((key,), 'must be a path; "." is the current folder')


def stages_have_a_length(settings: Settings) -> Iterator[Clash]:
    """A stage lasts so many epochs or so many steps, and its name is its own."""
    names: list[str] = []
    for number, stage in enumerate(settings.stage, start=1):
        table = f"stage.{number}"
        if (stage.epochs is None) == (stage.steps is None):
            yield Clash(
                (f"{table}.epochs", f"{table}.steps"),
                f"set either {table}.epochs or {table}.steps",
            )
        name = stage.name or ""
        if name in names or name.isdecimal() or name in Stage.model_fields:
            reason = "choose a word that is no number and that no other stage has"
            yield Clash((f"{table}.name",), reason)
        names += [name] * bool(name)


def documents_are_masked_throughout(settings: Settings) -> Iterator[Clash]:
    """A model either has learnt to see other documents, or never sees any."""
    whole = settings.data.packing
    for number, stage in enumerate(settings.stage, start=1):
        own = dict(stage.changes).get("data.packing", whole)
        if (own == "mask") != (whole == "mask"):
            yield Clash(
                (f"stage.{number}.data.packing", "data.packing"),
                'data.packing = "mask" must hold in all stages or in none',
            )


def groups_match_something(settings: Settings) -> Iterator[Clash]:
    """A group of weights says which."""
    for number, group in enumerate(settings.optimizer.group, start=1):
        if not group.match:
            yield Clash(
                (f"optimizer.group.{number}.match",),
                'give a pattern of names of weights, such as "layers.*.attention.*"',
            )


RULES: tuple[Rule, ...] = (
    stages_have_a_length,
    documents_are_masked_throughout,
    moments_fit,
    groups_match_something,
    heads_divide_width,
    rotary_turns_pairs,
    zeros_can_grow,
    row_fits_context,
    overlap_leaves_progress,
    frequencies_within_a_step,
    vocab_spells_all_bytes,
    regex_compiles,
    encoding_is_known,
    amounts_are_whole,
    time_is_not_up,
    rates_are_in_order,
    options_fit_optimizer,
    options_are_for_classes,
    groups_fit_optimizer,
    groups_have_weights,
    classes_are_allowed,
    packages_are_names,
    name_is_a_folder,
    paths_are_paths,
)
