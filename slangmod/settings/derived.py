"""Values computed from settings: shown beside their inputs, never set.

A derived value is one function and one line in DERIVED.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from slangmod.settings.paths import tokenizer_path
from slangmod.settings.sections import Settings

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds in each unit of a duration."""


def seconds_of(duration: str) -> float:
    """The seconds in a duration of the settings.

    >>> seconds_of("1.5h")
    5400.0
    """
    return float(duration[:-1]) * SECONDS[duration[-1]]


def overlap_tokens(seq_len: int, overlap: float) -> int:
    """By how many tokens rows overlap; below 1 ``overlap`` is a share of ``seq_len``.

    >>> overlap_tokens(512, 0.25), overlap_tokens(512, 64)
    (128, 64)
    """
    return round(seq_len * overlap) if overlap < 1 else int(overlap)


def effective_batch_size(settings: Settings) -> int:
    """Sequences that one step of the optimizer learns from."""
    return settings.train.batch_size * settings.train.step_freq


def tokens_per_step(settings: Settings) -> int:
    """Target tokens that one step of the optimizer learns from, at most."""
    return effective_batch_size(settings) * settings.data.seq_len


def head_width(settings: Settings) -> int:
    """Features of each attention head."""
    return settings.model.dim // settings.model.n_heads


def tokenizer_file(settings: Settings) -> str:
    """Where the tokenizer is."""
    return str(tokenizer_path(settings))


@dataclass(frozen=True)
class Derived:
    """How a value is computed, how that is said, and from which settings."""

    compute: Callable[[Settings], Any]
    formula: str
    inputs: tuple[str, ...]


DERIVED = {
    "files.tokenizer_file": Derived(
        tokenizer_file,
        "files.tokenizer, or a hash of [tokens]",
        ("files.tokenizer", "workdir"),
    ),
    "model.head_width": Derived(
        head_width, "dim / n_heads", ("model.dim", "model.n_heads")
    ),
    "train.effective_batch_size": Derived(
        effective_batch_size,
        "batch_size * step_freq",
        ("train.batch_size", "train.step_freq"),
    ),
    "train.tokens_per_step": Derived(
        tokens_per_step,
        "batch_size * step_freq * data.seq_len",
        ("train.batch_size", "train.step_freq", "data.seq_len"),
    ),
}
