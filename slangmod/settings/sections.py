"""Every setting in one line: name, type, default, range, meaning, unit.

Validation, ``--help``, ``config explain``, docs/settings.rst, config.example.toml and
the JSON schema all come from these lines. The words a setting may take are spelled
here too; a test holds them equal to the tables of functions that they choose from.
"""

# One line per setting, however long: the page reads as a table.
# ruff: noqa: E501
# fmt: off

from typing import Annotated, Any, Literal

from pydantic import Field

from slangmod.settings.free import FreeTable
from slangmod.settings.parallel import Parallel
from slangmod.settings.setting import (
    Activation,
    Count,
    Decay,
    Device,
    Duration,
    Flavor,
    Free,
    Gate,
    LongSpan,
    Name,
    Plugin,
    PluginFunction,
    Positive,
    RunName,
    Section,
    Span,
    setting,
)
from slangmod.settings.surviving import Checkpoint, Guard
from slangmod.settings.watching import Chat, Plot, Samples, Sweep, Track

__all__ = [
    "Chat",
    "Checkpoint",
    "Data",
    "FeedForward",
    "Files",
    "Group",
    "Guard",
    "LayerFeedForward",
    "LayerTable",
    "Model",
    "Optimizer",
    "Parallel",
    "Plot",
    "Plugins",
    "Samples",
    "Section",
    "Settings",
    "Stage",
    "Sweep",
    "Tokens",
    "Track",
    "Train",
]


class Files(Section):
    """Where raw text comes from and how it is cleaned."""

    raw: str = setting(".", "file or folder of raw documents (.txt, .jsonl, .parquet, each also .gz and .zst)")
    suffix: str | None = setting(None, "read only files that end in this; unset: every known kind")
    column: str = setting("text", "column of parquet and key of jsonl that holds the text")
    max_doc_bytes: int = setting(1 << 28, "longer documents are refused, before they fill the memory", "bytes", ge=1)
    min_doc_len: int = setting(1, "shorter documents are dropped", "characters", ge=0)
    cleaners: tuple[Literal["quotes", "encoding", "wiki40b", "unicode"], ...] = setting((), "what is done to each document, in this order")
    encoding: str = setting("cp1252", 'character set that the cleaner "encoding" forces a text into')
    on_bad_file: Literal["stop", "skip"] = setting("stop", "where a raw file cannot be read to its end: end, or go on with the next one, what came before the fault kept and each such file told")
    tokenizer: str | None = setting(None, "tokenizer file to write and read; unset: named by a hash of [tokens]")


class Tokens(Section):
    """The tokenizer: how text becomes ids."""

    algo: Literal["bpe", "wordpiece", "unigram", "byte"] = setting("bpe", "how the vocabulary is built")
    vocab: int = setting(16384, 'size of the vocabulary ("byte" has 257 whatever is asked for)', "tokens", ge=2, le=1 << 22)
    dropout: float = setting(0.0, "share of merges skipped at random when the train split is encoded (bpe)", ge=0, lt=1)
    min_freq: int = setting(0, "pieces seen less often are not learnt", "occurrences", ge=0)
    max_len: int = setting(16, "longest piece of unigram", "characters", ge=1)
    shrink_factor: float = setting(0.75, "share of pieces that unigram keeps in each round of pruning", gt=0, lt=1)
    n_iter: int = setting(2, "rounds of expectation and maximisation between prunings of unigram", "rounds", ge=1)
    eos_regex: str | None = setting(None, "where this matches, `clean` cuts a text into documents")
    eos_string: str = setting("\n\n", "what decoding writes for the end symbol")


class Data(Section):
    """How token ids become the rows of a mini-batch."""

    seq_len: int = setting(512, "length of a row", "tokens", ge=1)
    overlap: int | float = setting(0, "by how much neighbouring rows overlap: a share of seq_len below 1, else tokens", ge=0)
    jitter: int = setting(32, "at the start of each epoch one offset is drawn from 0 .. jitter - 1 for all rows", "tokens", ge=0)
    shuffle: bool = setting(True, "show the rows in a new random order every epoch")
    packing: Literal["concat", "mask", "pad"] = setting("concat", 'rows run on across documents ("concat"), the same where tokens see their own document alone ("mask"), or each document is padded ("pad")')
    device: Device | None = setting(None, "where to compute, such as cpu, cuda or cuda:1; unset: cuda if there, else cpu")
    precision: Literal["bfloat16", "float32"] = setting("bfloat16", "of matrix products; weights and sums are float32 either way")


class FeedForward(Section):
    """The feed-forward half of each layer."""

    flavor: Flavor = setting("vanilla", "plain, gated linear unit, or gated residual network")
    activation: Activation | PluginFunction = setting("gelu", "non-linearity")
    gate: Gate | PluginFunction = setting("gelu", "non-linearity of the gate of glu and grn")
    bias: bool = setting(False, "add biases to the feed-forward projections")
    factor: int | float = setting(4, "hidden width over dim", gt=0, le=1000)


class LayerFeedForward(Section):
    """The feed-forward half of these layers; unset: as [model.feedforward] has it."""

    flavor: Flavor | None = setting(None, "plain, gated linear unit, or gated residual network")
    activation: Activation | PluginFunction | None = setting(None, "non-linearity")
    gate: Gate | PluginFunction | None = setting(None, "non-linearity of the gate of glu and grn")
    bias: bool | None = setting(None, "add biases to the feed-forward projections")
    factor: int | float | None = setting(None, "hidden width over dim", gt=0, le=1000)


class LayerTable(Section):
    """Layers that follow each other and are alike; unset: as [model] has it."""

    repeat: int = setting(1, "how many such layers there are", "layers", ge=1, le=10_000)
    n_heads: int | None = setting(None, "attention heads", "heads", ge=1)
    n_kv_heads: int | None = setting(None, "heads of keys and values, shared by groups of query heads; unset: as [model] has it, or n_heads where these layers set that", "heads", ge=1)
    attention_window: int | None = setting(None, "each token looks at so many, itself included", "tokens", ge=1)
    qk_norm: bool | None = setting(None, "normalise queries and keys of each head")
    attn_bias: bool | None = setting(None, "add biases to the attention projections")
    feedforward: LayerFeedForward = LayerFeedForward()


class Model(Section):
    """The decoder-only transformer."""

    dim: int = setting(512, "width of the residual stream", "features", ge=1)
    positions: Literal["vanilla", "learnable", "sinusoidal", "rotary"] = setting("vanilla", "sinusoidal once, learnt, sinusoidal in every layer, or rotary")
    context: int = setting(4096, "longest sequence the model can see", "tokens", ge=2)
    n_heads: int = setting(8, "attention heads", "heads", ge=1)
    n_kv_heads: int | None = setting(None, "heads of keys and values, shared by groups of query heads; unset: n_heads", "heads", ge=1)
    n_layers: int = setting(8, "layers", "layers", ge=1, le=10_000)
    attention_window: int | None = setting(None, "each token looks at so many, itself included; unset: at all before it", "tokens", ge=1)
    attn_bias: bool = setting(False, "add biases to the attention projections")
    dropout: float = setting(0.1, "share of activations dropped in training", ge=0, lt=1)
    norm_cls: Literal["layer", "rms"] = setting("layer", "layer normalisation, or root mean square alone")
    norm_bias: bool = setting(True, 'add biases to the norms (norm_cls = "layer")')
    norm_first: bool = setting(True, "normalise the input of each half layer rather than its output")
    qk_norm: bool = setting(False, "normalise queries and keys of each head")
    tie_embeddings: bool = setting(True, "one matrix embeds tokens and predicts them")
    zero_init: bool = setting(False, "begin with projections into the residual stream at zero, so that each layer begins as the identity")
    logit_softcap: float | None = setting(None, "bound c of the logits, c * tanh(logits / c)", gt=0)
    scale_grad_by_freq: bool = setting(False, "divide each embedding's gradient by how often its token is in the mini-batch")
    compile: bool = setting(True, "compile the training step (eager where no compiler works)")
    feedforward: FeedForward = FeedForward()
    layer: tuple[LayerTable, ...] = ()


class Train(Section):
    """How the model learns."""

    batch_size: int = setting(64, 'sequences per mini-batch of the whole run, whatever the number of devices; "auto": as largest_batch', "sequences", ge=1)
    largest_batch: bool = setting(False, "compute as many sequences of a step at a time as fit into memory, several mini-batches or a part of one; chosen when the run begins")
    step_freq: int = setting(1, "mini-batches whose gradients are accumulated before the optimizer takes a step", "mini-batches", ge=1)
    clip_grad: float = setting(0.8, "overall norm of all gradients above which they are scaled back", gt=0)
    label_smoothing: float = setting(0.1, "of the cross-entropy, in training only", ge=0, lt=1)
    optimizer: Literal["adamw", "adafactor", "adam", "nadam", "adamax", "adadelta", "rmsprop", "momentum", "nag", "adagrad", "sgd", "rprop", "bfgs", "muon"] | Plugin = setting("adamw", "rule by which gradients change weights")
    max_epochs: int = setting(16, "how often all training data are shown at most", "epochs", ge=1)
    max_steps: int | None = setting(None, "end after so many optimizer steps", "optimizer steps", ge=1)
    max_time: Duration | None = setting(None, 'end after so much training time, such as "90s", "30m" or "2h"', "time")
    patience: int | None = setting(None, "stop after that many consecutive epochs without a better test loss; unset: never", "epochs", ge=2)
    patience_steps: int | None = setting(None, "stop at this optimizer step, or later where the test loss gets better in the meantime; unset: never", "optimizer steps", ge=1)
    patience_increase: float = setting(2.0, "a significantly better test loss at step s extends patience_steps to at least s times this", ge=1)
    validation_threshold: float = setting(1.003, "a test loss is significantly better if it is smaller than the last such, even multiplied by this", ge=1)
    convergence_threshold: float | None = setting(None, "stop when the norm that convergence_norm names is below this at an evaluation; unset: never", gt=0)
    convergence_norm: Literal["gradient", "update"] = setting("gradient", "norm of the gradient of the last optimizer step before clipping, or of the change of all weights since the last evaluation")
    eval_freq: int | None = setting(None, "mini-batches between evaluations; unset: each epoch", "mini-batches", ge=1)
    learning_rate: float = setting(0.001, "peak step size", gt=0)
    min_learning_rate: float = setting(0.0, "below which no schedule falls after warmup; must not be above learning_rate", ge=0)
    max_learning_rate: float | None = setting(None, 'top of the cycles of "cyclic", "triangular" and "exp_range"; unset: 10 * learning_rate', gt=0)
    warmup: Count | Span = setting(8000, "during which the rate rises linearly to learning_rate", "mini-batches")
    scaling: Literal["inverse", "exponential", "cosine", "annealing", "linear", "constant", "step", "polynomial", "cyclic", "triangular", "exp_range", "wsd", "restarts"] = setting("inverse", "shape of the decay after warmup")
    power: float = setting(0.5, 'exponent of "inverse"', ge=0.5, le=1)
    gamma: float = setting(0.95, 'base of "exponential"', gt=0, lt=1)
    cooldown: Positive | LongSpan = setting(100_000, 'until "cosine" and "polynomial" reach 0, "annealing" and "linear" min_learning_rate', "mini-batches")
    step_factor: float = setting(0.5, 'by which "step" multiplies the rate', gt=0, lt=1)
    step_every: Positive | LongSpan = setting(10, 'between the falls of "step"', "mini-batches")
    poly_power: float = setting(0.999, 'exponent of "polynomial"', ge=0)
    cycle_steps: Positive | LongSpan = setting(16, 'one full cycle, up and down, of "cyclic", "triangular" and "exp_range"; from restart to restart of "restarts"', "mini-batches")
    cycle_gamma: float = setting(0.5, 'by which "exp_range" shrinks the height of its cycles, the first one too', gt=0, le=1)
    decay: float = setting(0.2, 'share of the planned training over which "wsd" falls to min_learning_rate, at its end', gt=0, le=1)
    schedule_unit: Literal["batch", "epoch"] = setting("batch", 'what schedules count after warmup; with "epoch" the rate changes only every so many mini-batches as the first epoch has, and whole numbers for cooldown, step_every and cycle_steps are epochs')
    z_loss: float = setting(0.0, "weight of the squared log of the softmax's denominator in the training objective, which keeps logits small", ge=0)
    ema: float | None = setting(None, "decay of an exponential moving average of the weights, which is evaluated, too, and kept if it is better; unset: none", gt=0, lt=1)
    activation_checkpointing: bool = setting(False, "keep of each layer only what it reads, and compute all else again on the way back: less memory, more time")
    init_from: str | None = setting(None, "run, or folder of a model, whose best weights training starts from; unset: weights are drawn at random")
    cb_freq: int = setting(1, "every how many mini-batches the training loss and the learning rate are logged", "mini-batches", ge=1)


class Group(Section):
    """Options of the weights that a pattern names; unset: as [optimizer] and [train]."""

    match: str = setting("", 'pattern of names of weights, such as "layers.*.attention.*"; the first group that matches takes a weight')
    learning_rate: float | None = setting(None, "peak step size", ge=0)
    weight_decay: float | None = setting(None, "pull towards zero, whatever kind of weight it is", ge=0)
    betas: tuple[Decay, Decay] | None = setting(None, "decay of the first and second moment")
    eps: float | None = setting(None, "added to the denominator", gt=0)
    momentum: float | None = setting(None, "share of the last step that is repeated", ge=0, lt=1)
    rho: float | None = setting(None, "decay of the mean of squared gradients", ge=0, lt=1)


class Optimizer(Section):
    """Options of the optimizer; unset: the optimizer's own default."""

    weight_decay: float = setting(0.01, "pull of matrices towards zero, not of norms, biases, embeddings (adamw, adafactor, muon, sgd, momentum, nag; the default means none to the others)", ge=0)
    betas: tuple[Decay, Decay] | None = setting(None, "decay of the first and second moment (adamw, adam, nadam, adamax, muon); unset: 0.9 and 0.999")
    eps: float | None = setting(None, "added to the denominator (adamw, adam, nadam, adamax, adadelta, rmsprop, adagrad, muon); unset: 1e-8, adagrad 1e-10", gt=0)
    momentum: float | None = setting(None, "share of the last step that is repeated (momentum, nag, rmsprop, muon); unset: 0.9, rmsprop 0, muon 0.95", ge=0, lt=1)
    rho: float | None = setting(None, "decay of the mean of squared gradients (rmsprop, adadelta); unset: 0.9, adadelta 0.95", ge=0, lt=1)
    history: int | None = setting(None, "pairs of steps and changes of gradient that are remembered (bfgs); unset: 10", "pairs", ge=1)
    bfgs_warmup: int | None = setting(None, "first steps that only follow the gradient, and from which nothing is learnt about curvature (bfgs); unset: 10", "optimizer steps", ge=0)
    options: Free = setting(FreeTable({}), "free table: arguments of an optimizer that is given as a class")
    group: tuple[Group, ...] = ()


class Stage(Section):
    """A part of the training with settings of its own; everything else stays."""

    name: Name | None = setting(None, "name of the stage, by which flags and logs may call it; unset: its number")
    epochs: int | None = setting(None, "how long it lasts; or set steps", "epochs", ge=1)
    steps: int | None = setting(None, "how long it lasts; or set epochs", "optimizer steps", ge=1)
    reset_optimizer: bool = setting(False, "begin with fresh moments rather than those of the stage before")
    schedule: Literal["restart", "continue"] = setting("restart", "the learning rate's schedule begins anew, warmup included, or goes on as if the whole training had one")
    changes: tuple[tuple[str, Any], ...] = ()


class Plugins(Section):
    """Code of others that settings may name."""

    allow: tuple[str, ...] = setting((), "packages besides torch and slangmod from which classes may be imported")


Size = Literal["tiny", "small", "medium", "large"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]


class Settings(Section):
    """Everything a user can say about a run, resolved and frozen."""

    workdir: str = setting(".", "folder that holds corpus, encodings and runs")
    name: RunName | None = setting(None, "name of the run; unset: date and time for a new run, the newest for an old one")
    size: Size | None = setting(None, "preset of data, model and training settings")
    base: str | None = setting(None, 'TOML file, or "preset:NAME", whose settings this one starts from')
    seed: int = setting(100, "from which all chance is drawn", ge=0)
    repeat: int = setting(1, "train so many runs that differ in their seeds alone: seed, seed + 1, ...; each is called NAME-1, NAME-2, ...", "runs", ge=1, le=10_000)
    threads: int | None = setting(None, "CPU threads of torch; unset: one per physical core, but a single one for each new token of a text", "threads", ge=1, le=1024)
    deterministic: bool = setting(False, "repeatable kernels on GPUs too (always on for CPUs)")
    log_level: LogLevel | Annotated[int, Field(ge=10, le=50)] = setting("info", "least important messages that are shown")
    progress: bool = setting(True, "show a progress bar on a terminal")
    files: Files = Files()
    tokens: Tokens = Tokens()
    data: Data = Data()
    model: Model = Model()
    train: Train = Train()
    optimizer: Optimizer = Optimizer()
    checkpoint: Checkpoint = Checkpoint()
    guard: Guard = Guard()
    parallel: Parallel = Parallel()
    chat: Chat = Chat()
    sweep: Sweep = Sweep()
    track: Track = Track()
    samples: Samples = Samples()
    plot: Plot = Plot()
    plugins: Plugins = Plugins()
    stage: tuple[Stage, ...] = ()
    extra: Free = setting(FreeTable({}), "free table: tracked with the run, never read")

    def replace(self, **changes: Any) -> "Settings":
        """These settings with others in their place, all rules checked anew.

        Names are dotted: ``settings.replace(**{"train.batch_size": 32})``; None unsets.
        Raises SettingsError with every problem there is.
        """
        from slangmod.settings.load import replaced

        return replaced(self, changes)

    def __str__(self) -> str:
        """All values as TOML that can be loaded again."""
        from slangmod.settings.show import as_toml

        return as_toml(self)
