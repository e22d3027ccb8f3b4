"""What of a run's settings may be others when it goes on, and what never, and why.

Each setting, also of stages, layers and groups of weights, is named once. Nothing may
change because it is not named: a test goes through all settings there are.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final

from slangmod.settings.catalog import Key, arrays
from slangmod.settings.places import free_table, place_of
from slangmod.settings.sections import Settings

FREELY: Final = "freely"
"""How long to train, what to keep, what to show: never what is learnt in a step."""

ON_REQUEST: Final = "with --allow-change"
"""What is learnt from here on."""

WITHOUT_EFFECT: Final = "without effect on a run"
"""Where things lie, and how they were made: a run that goes on asks for their content,
which is compared by hash, or for nothing of them."""

DATA: Final = "data"
"""The word by which ``--allow-change`` permits other encodings of the same ids."""

JUDGED_BY: Final = (DATA, "data.precision", "model.logit_softcap")
"""What may change on request on which the loss of an evaluation depends, weights being
equal: from there on it cannot be compared with those before."""

_MEANING = "it says what weights are for"
_PLACE = "the run's place in its data is counted by it"
_MEMORY = "what the optimizer remembers would not fit"
_IDS = "it says what token ids mean"

CHANGES: Final = {
    FREELY: """
    log_level progress plot.record_frequency plot.plot_frequency plugins.allow
    train.max_epochs train.max_steps train.max_time
    train.patience train.patience_steps train.patience_increase
    train.validation_threshold train.convergence_threshold train.convergence_norm
    checkpoint.every checkpoint.keep checkpoint.background checkpoint.on_error
    guard.non_finite guard.max_skips guard.on_spike guard.spike_sigma
    guard.spike_window guard.max_rewinds guard.hang_time guard.on_hang
    parallel.strategy parallel.backend parallel.timeout parallel.cpu_offload
    chat.generator chat.max_tokens chat.temperature chat.k chat.p chat.width chat.boost
    chat.style chat.user chat.bot chat.stop chat.system
    track.backends track.uri track.experiment track.every track.artifacts
    samples.every samples.prompts samples.max_tokens
    """,
    ON_REQUEST: """
    train.learning_rate train.min_learning_rate train.max_learning_rate train.warmup
    train.scaling train.power train.gamma train.cooldown train.step_factor
    train.step_every train.poly_power train.cycle_steps train.cycle_gamma train.decay
    train.schedule_unit train.step_freq train.clip_grad train.label_smoothing
    train.z_loss train.eval_freq train.cb_freq train.activation_checkpointing
    optimizer.weight_decay optimizer.betas optimizer.eps optimizer.rho
    optimizer.bfgs_warmup
    optimizer.group optimizer.group.match optimizer.group.learning_rate
    optimizer.group.weight_decay optimizer.group.betas optimizer.group.eps
    optimizer.group.rho
    data.shuffle data.precision data.device
    model.dropout model.logit_softcap model.scale_grad_by_freq model.compile
    threads deterministic
    stage.name stage.epochs stage.steps stage.reset_optimizer stage.schedule
    """,
    WITHOUT_EFFECT: """
    workdir name size base repeat extra train.init_from
    model.zero_init train.largest_batch
    files.raw files.suffix files.column files.min_doc_len files.cleaners
    files.encoding files.max_doc_bytes files.on_bad_file files.tokenizer
    sweep.n_trials sweep.sampler sweep.n_startup_trials sweep.seed sweep.direction
    sweep.metric sweep.pruner sweep.workers sweep.timeout sweep.storage sweep.space
    """,
    _MEANING: """
    model.dim model.positions model.context model.n_heads model.n_kv_heads
    model.n_layers model.attention_window model.attn_bias
    model.norm_cls model.norm_bias model.norm_first
    model.qk_norm model.tie_embeddings model.feedforward.flavor
    model.feedforward.activation model.feedforward.gate model.feedforward.bias
    model.feedforward.factor model.layer model.layer.repeat model.layer.n_heads
    model.layer.n_kv_heads model.layer.attention_window model.layer.qk_norm
    model.layer.attn_bias
    model.layer.feedforward.flavor model.layer.feedforward.activation
    model.layer.feedforward.gate model.layer.feedforward.bias
    model.layer.feedforward.factor
    """,
    _PLACE: """
    seed data.seq_len data.overlap data.jitter data.packing train.batch_size stage
    """,
    _MEMORY: """
    train.optimizer optimizer.momentum optimizer.history optimizer.options train.ema
    optimizer.group.momentum
    """,
    _IDS: """
    tokens.algo tokens.vocab tokens.dropout tokens.min_freq tokens.max_len
    tokens.shrink_factor tokens.n_iter tokens.eos_regex tokens.eos_string
    """,
}
"""Names of settings by how they may change, or why they never may."""


@cache
def changes_by_name() -> Mapping[str, str]:
    """How each setting may change, or why it never may."""
    return {name: how for how, names in CHANGES.items() for name in names.split()}


def ruled_by(path: Key) -> str:
    """The name, without numbers of tables, that says whether ``path`` may change.

    >>> ruled_by(("stage", "2", "train", "gamma"))
    'train.gamma'
    >>> ruled_by(("optimizer", "group", "1", "betas"))
    'optimizer.group.betas'
    """
    place = place_of(path)
    if place.section is Settings:
        return ".".join(free_table(place.rest) or place.rest)
    array = place.table[:-1]
    return ".".join((*array, *place.rest) if path not in arrays() else path)


def is_named(path: Key) -> bool:
    """Whether there is such a setting."""
    return ruled_by(path) in changes_by_name()


def freely(path: Key) -> bool:
    """Whether a run may go on with another value at ``path`` without being asked."""
    return changes_by_name()[ruled_by(path)] in (FREELY, WITHOUT_EFFECT)


def refusal(path: Key) -> str:
    """Why the value at ``path`` may not be another; empty where it may on request."""
    how = changes_by_name()[ruled_by(path)]
    return "" if how in (FREELY, WITHOUT_EFFECT, ON_REQUEST) else how
