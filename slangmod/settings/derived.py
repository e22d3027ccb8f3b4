"""Values computed from settings: shown beside their inputs, never set.

A derived value is one function and one line in DERIVED.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from slangmod.errors import SettingsError
from slangmod.settings.course import (
    AtHand,
    course_of,
    nothing_at_hand,
    rates_of,
)
from slangmod.settings.groups import assign
from slangmod.settings.paths import tokenizer_path
from slangmod.settings.sections import Settings
from slangmod.settings.tensors import count_parameters, tensors_of

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


DEVICES = 1
"""Devices that share the work of a run."""


def effective_batch_size(settings: Settings, _: AtHand = nothing_at_hand) -> int:
    """Sequences that one step of the optimizer learns from."""
    return settings.train.batch_size * settings.train.step_freq


def tokens_per_step(settings: Settings, _: AtHand = nothing_at_hand) -> int:
    """Target tokens that one step of the optimizer learns from, at most."""
    return effective_batch_size(settings) * settings.data.seq_len


def batch_size_per_device(settings: Settings, _: AtHand = nothing_at_hand) -> int:
    """Sequences of a mini-batch that each device works on."""
    return settings.train.batch_size // DEVICES


def lr_schedule(settings: Settings, at_hand: AtHand) -> tuple[float, ...]:
    """The learning rate of each optimizer step of the planned training."""
    return rates_of(settings, at_hand(settings))


def steps_per_epoch(settings: Settings, at_hand: AtHand) -> int:
    """Optimizer steps of the first epoch."""
    data = at_hand(settings)
    if data is None:
        raise SettingsError("the data are not at hand; run `slangmod encode` first")
    return -(-data.batches_in(settings, 1) // settings.train.step_freq)


def total_steps(settings: Settings, at_hand: AtHand) -> int:
    """Optimizer steps of the planned training."""
    return sum(leg.steps for leg in course_of(settings, at_hand(settings)))


def n_parameters(settings: Settings, at_hand: AtHand) -> int:
    """Numbers that the model learns; before there are data, with ``tokens.vocab``."""
    data = at_hand(settings)
    vocab = settings.tokens.vocab if data is None else data.vocab
    return count_parameters(settings.model, vocab)


def head_width(settings: Settings, _: AtHand = nothing_at_hand) -> int:
    """Features of each attention head."""
    return settings.model.dim // settings.model.n_heads


def tokenizer_file(settings: Settings, _: AtHand = nothing_at_hand) -> str:
    """Where the tokenizer is."""
    return str(tokenizer_path(settings))


REST = "rest"
"""What is called so that no group takes."""


def groups_of(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The weights of each ``[[optimizer.group]]`` by its number, and the "rest"."""
    names = tensors_of(settings.model, settings.tokens.vocab)
    patterns = [group.match for group in settings.optimizer.group]
    places = assign(names, patterns)
    found: dict[str, tuple[str, ...]] = {
        str(place + 1): tuple(name for name in names if places[name] == place)
        for place in range(len(patterns))
    }
    return found | {REST: tuple(name for name in names if places[name] is None)}


@dataclass(frozen=True)
class Derived:
    """How a value is computed, how that is said, and from which settings.

    ``inputs`` are settings or sections. ``costly``: needs the data or much time, so
    that it is computed and shown only where somebody asks for it.
    """

    compute: Callable[[Settings, AtHand], Any]
    formula: str
    inputs: tuple[str, ...]
    costly: bool = False

    @property
    def to_set(self) -> tuple[str, ...]:
        """What to set for another value: settings, or sections as ``[train]``."""
        return tuple(one if "." in one else f"[{one}]" for one in self.inputs[:3])


LENGTH = (
    "train.max_epochs",
    "train.max_steps",
    "train.batch_size",
    "train.step_freq",
    "data.seq_len",
    "data.overlap",
    "data.jitter",
    "data.packing",
    "stage",
    "seed",
    "tokens",
    "files.tokenizer",
    "workdir",
)
"""What the length of a training depends on."""

RATES = (
    "train.learning_rate",
    "train.warmup",
    "train.scaling",
    "train.min_learning_rate",
    "train.max_learning_rate",
    "train.power",
    "train.gamma",
    "train.cooldown",
    "train.step_factor",
    "train.step_every",
    "train.poly_power",
    "train.cycle_steps",
    "train.cycle_gamma",
    "train.decay",
    "train.schedule_unit",
)
"""What the learning rate of a step depends on, besides its place."""

DERIVED = {
    "files.tokenizer_file": Derived(
        tokenizer_file,
        "files.tokenizer, or a hash of [tokens]",
        ("files.tokenizer", "workdir", "tokens"),
    ),
    "model.head_width": Derived(
        head_width, "dim / n_heads", ("model.dim", "model.n_heads")
    ),
    "model.n_parameters": Derived(
        n_parameters,
        "all weights of [model], with the vocabulary of the data or tokens.vocab",
        ("model", "tokens", "files", "workdir"),
        costly=True,
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
    "train.batch_size_per_device": Derived(
        batch_size_per_device, "batch_size / devices", ("train.batch_size",)
    ),
    "train.lr_schedule": Derived(
        lr_schedule,
        "the rate of each optimizer step",
        (*RATES, *LENGTH),
        costly=True,
    ),
    "train.steps_per_epoch": Derived(
        steps_per_epoch,
        "mini-batches of the first epoch / step_freq",
        LENGTH,
        costly=True,
    ),
    "train.total_steps": Derived(
        total_steps,
        "steps until max_epochs or max_steps",
        LENGTH,
        costly=True,
    ),
}


def derived_value(name: str, settings: Settings, at_hand: AtHand) -> Any:
    """One derived value; None if it cannot be computed yet."""
    try:
        return DERIVED[name].compute(settings, at_hand)
    except SettingsError:
        return None


def derived_values(settings: Settings, at_hand: AtHand) -> dict[str, Any]:
    """All derived values by dotted name; None for what cannot be computed yet."""
    values: dict[str, Any] = {
        name: derived_value(name, settings, at_hand) for name in DERIVED
    }
    if settings.optimizer.group:
        values["optimizer.groups"] = groups_of(settings)
    return values
