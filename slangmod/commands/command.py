"""What an action of the command line is, and which settings concern it."""

from dataclasses import dataclass

SWITCH = "switch"
VALUE = "value"

ALL = "all"
"""In a command's ``settings``: every one there is."""

ALWAYS_MAY_CHANGE = ("log_level", "progress", "plot", "plugins")
"""Settings that any action on a run may be given, whatever the run was trained with."""

RESUME_MAY_CHANGE = (
    *ALWAYS_MAY_CHANGE,
    "train.max_epochs",
    "train.max_steps",
    "train.max_time",
    "train.patience",
    "train.patience_steps",
    "train.patience_increase",
    "train.validation_threshold",
    "train.convergence_threshold",
    "train.convergence_norm",
    "checkpoint",
    "guard",
    "parallel",
    "chat",
    "track",
    "samples",
)
"""Settings, or sections of them, with which ``resume`` may go on otherwise than a run
began. They say how long to train and what to keep, never what is learnt in a step."""

GENERAL = (
    "workdir",
    "name",
    "size",
    "base",
    "seed",
    "threads",
    "deterministic",
    "log_level",
    "progress",
)
"""Top-level settings, which concern every action that makes something."""

LEARNING = (
    *("train", "optimizer", "data", "model", "checkpoint", "guard", "parallel"),
    *("files.tokenizer", "tokens"),
)
"""Settings, or sections of them, that say how a run learns."""

TRAINING = (
    *(*GENERAL, *LEARNING),
    *("repeat", "stage", "plugins", "samples", "chat", "extra"),
)
"""Settings, or sections of them, that a new run may be given."""

WHICH_RUN = (
    "workdir",
    "name",
    *ALWAYS_MAY_CHANGE,
    "plot.record_frequency",
    "plot.plot_frequency",
)
"""Settings that concern actions on runs that exist, by their full names."""


@dataclass(frozen=True)
class Flag:
    """A flag that belongs to an action and is no setting."""

    name: str
    kind: str
    help: str
    value: str = ""
    choices: tuple[str, ...] = ()
    repeatable: bool = False
    """whether it may be given more than once, which makes its value a tuple"""


PLOT = Flag("--plot", VALUE, "draw the curves into a picture, .png or .svg", "FILE")
GNUPLOT = Flag("--gnuplot", SWITCH, "print the curves as a script for gnuplot")
OUTPUT = Flag("--output", VALUE, "where to; default report.html of the run", "FILE")
TRACE = Flag("--output", VALUE, "where to; default a file in WORKDIR/profiles", "FILE")
SPLIT = Flag(
    "--split",
    VALUE,
    "what to evaluate on; default validation",
    "NAME",
    ("train", "test", "validation"),
)
BY = Flag(
    "--by",
    VALUE,
    "what the curves are compared over; default tokens",
    "AXIS",
    ("step", "tokens", "time"),
)
FORMAT = Flag(
    "--format",
    VALUE,
    "how to print; default table",
    "KIND",
    ("table", "json", "csv", "html"),
)
TOP = Flag("--top", VALUE, "only so many of the best; default: all", "N")
CONTINUE = Flag("--continue", SWITCH, "resume the run of that name if it exists")
OVERWRITE = Flag("--overwrite", SWITCH, "move an old run of that name aside first")
JOIN = Flag("--join", SWITCH, "help with a sweep that another process has begun")
STEPS = Flag("--steps", VALUE, "how many steps to look at; default 3", "N")
FULL = Flag("--full", SWITCH, "compiled steps and the shape of GPT-2, too; minutes")
PAGE = (
    Flag("--web", SWITCH, "serve a page with the curves to this machine"),
    Flag("--port", VALUE, "of that page; default: one that is free", "N"),
)
PLANNING = (
    Flag("--no-calibration", SWITCH, "try no steps; times stay unknown"),
    Flag("--devices", VALUE, "plan for so many; default: as torchrun says", "N"),
    Flag("--device-memory", VALUE, "of each; default: what is free here", "GB"),
    Flag("--bandwidth", VALUE, "between them, a second; default: assumed", "GB"),
)
JSON = Flag("--json", SWITCH, "print JSON")
ALLOW = Flag(
    "--allow-change",
    VALUE,
    'a setting that may be another from here on, or "data"; may be repeated',
    "KEY",
    repeatable=True,
)


@dataclass(frozen=True)
class Command:
    """An action.

    ``pipeline``: may be chained with others. ``words``: how its own words are written;
    empty: it takes none. ``settings``: what it obeys, by name or by section, as its
    help shows. ``on_run``: works on a run that exists, whose settings it takes, save
    for those in ``changeable``. ``on_runs``: looks at any number of runs. ``resolves``:
    is called with the settings of flags, environment and file; ``default_file``: the
    file of the current folder is one, where no other is named; ``searches``: settings
    may say what to try rather than what to take; ``heeds_only_these``: flags for other
    settings than those in ``settings`` are refused. ``together``: where torchrun has
    started several processes all do it, each its part; else the leader does, alone.
    """

    help: str
    module: str
    group: str
    pipeline: bool = False
    words: str = ""
    flags: tuple[Flag, ...] = ()
    settings: tuple[str, ...] = ()
    on_run: bool = False
    on_runs: bool = False
    changeable: tuple[str, ...] = ()
    resolves: bool = True
    default_file: bool = True
    searches: bool = False
    heeds_only_these: bool = False
    together: bool = False
