"""The actions of the command line: what they are for, and what they take.

Each is a module with a function ``run(call)``, loaded in its turn. Help, manual and
parser read this table, which loads nothing at all.
"""

from slangmod.commands.command import (
    ALL,
    ALLOW,
    ALWAYS_MAY_CHANGE,
    BY,
    CONTINUE,
    FORMAT,
    FULL,
    GENERAL,
    GNUPLOT,
    JOIN,
    JSON,
    LEARNING,
    OUTPUT,
    OVERWRITE,
    PLANNING,
    PLOT,
    RESUME_MAY_CHANGE,
    SPLIT,
    STEPS,
    SWITCH,
    TOP,
    TRACE,
    TRAINING,
    VALUE,
    WHICH_RUN,
    Command,
    Flag,
)

__all__ = [
    "ALIASES",
    "ALL",
    "COMMANDS",
    "RESUME_MAY_CHANGE",
    "SWITCH",
    "VALUE",
    "WHICH_RUN",
    "Command",
    "Flag",
    "own_flags",
]

TO_A_MODEL = "From raw text to a model (may be chained)"

COMMANDS: dict[str, Command] = {
    "demo": Command(
        help="learn from the documentation of this Python, in a few minutes",
        module="slangmod.commands.demo",
        group="First of all",
        settings=(*WHICH_RUN, "seed", "threads", "train.max_time", "train.max_steps"),
        default_file=False,
    ),
    "clean": Command(
        help="turn raw documents into a corpus",
        module="slangmod.commands.clean",
        group=TO_A_MODEL,
        pipeline=True,
        settings=(*GENERAL, "files", "tokens.eos_regex"),
    ),
    "tokenize": Command(
        help="train a tokenizer on the train split of the corpus",
        module="slangmod.commands.tokenize",
        group=TO_A_MODEL,
        pipeline=True,
        settings=(*GENERAL, "tokens", "files.tokenizer"),
    ),
    "encode": Command(
        help="turn the corpus into shards of token ids",
        module="slangmod.commands.encode",
        group=TO_A_MODEL,
        pipeline=True,
        settings=(*GENERAL, "tokens", "files.tokenizer"),
    ),
    "train": Command(
        help="train a run from scratch",
        module="slangmod.commands.train",
        group=TO_A_MODEL,
        pipeline=True,
        flags=(CONTINUE, OVERWRITE, ALLOW),
        settings=TRAINING,
        changeable=RESUME_MAY_CHANGE,
        together=True,
    ),
    "resume": Command(
        help="continue a run where it stopped",
        module="slangmod.commands.resume",
        group=TO_A_MODEL,
        pipeline=True,
        flags=(ALLOW,),
        settings=("workdir", "name", *RESUME_MAY_CHANGE),
        on_run=True,
        changeable=RESUME_MAY_CHANGE,
        together=True,
    ),
    "evaluate": Command(
        help="loss, perplexity, bits per byte and accuracy of a run",
        module="slangmod.commands.evaluate",
        group=TO_A_MODEL,
        pipeline=True,
        flags=(SPLIT,),
        settings=WHICH_RUN,
        on_run=True,
        changeable=(*ALWAYS_MAY_CHANGE, "chat"),
        together=True,
    ),
    "replay": Command(
        help="look closely at one optimizer step of a run",
        module="slangmod.commands.replay",
        group="Looking at runs",
        flags=(Flag("--step", VALUE, "which; default: the last bad one", "N"),),
        settings=WHICH_RUN,
        on_run=True,
        changeable=ALWAYS_MAY_CHANGE,
    ),
    "monitor": Command(
        help="watch the curves of a run as it learns",
        module="slangmod.commands.monitor",
        group="Looking at runs",
        words="[NAME ...]",
        flags=(
            Flag("--web", SWITCH, "serve a page with the curves to this machine"),
            Flag("--port", VALUE, "of that page; default: one that is free", "N"),
            PLOT,
            GNUPLOT,
        ),
        settings=WHICH_RUN,
        on_runs=True,
    ),
    "report": Command(
        help="all about runs on one page that opens anywhere",
        module="slangmod.commands.report",
        group="Looking at runs",
        words="[NAME ...]",
        flags=(OUTPUT,),
        settings=WHICH_RUN,
        on_runs=True,
    ),
    "compare": Command(
        help="several runs side by side",
        module="slangmod.commands.compare",
        group="Looking at runs",
        words="[NAME ...]",
        flags=(PLOT, GNUPLOT, BY, FORMAT, JSON),
        settings=WHICH_RUN,
        on_runs=True,
    ),
    "summarize": Command(
        help="all that is known of runs, as JSON",
        module="slangmod.commands.summarize",
        group="Looking at runs",
        words="[NAME ...]",
        settings=WHICH_RUN,
        on_runs=True,
    ),
    "verify": Command(
        help="whether runs and what they were made from are as they were written",
        module="slangmod.commands.verify",
        group="Looking at runs",
        words="[NAME ...]",
        flags=(JSON,),
        settings=WHICH_RUN,
        on_runs=True,
    ),
    "sweep": Command(
        help="search for hyper-parameters",
        module="slangmod.commands.sweep",
        group="Many runs",
        flags=(JOIN,),
        settings=(*GENERAL, *LEARNING, "sweep"),
        searches=True,
    ),
    "sweep show": Command(
        help="the trials of a sweep, the best first",
        module="slangmod.commands.sweep_show",
        group="Many runs",
        words="NAME",
        flags=(TOP, JSON),
        settings=WHICH_RUN,
        on_runs=True,
    ),
    "sweep plot": Command(
        help="draw history, importance and slices of a sweep anew",
        module="slangmod.commands.sweep_show",
        group="Many runs",
        words="NAME",
        settings=WHICH_RUN,
        on_runs=True,
    ),
    "generate": Command(
        help="continue a text",
        module="slangmod.commands.generate",
        group="Using a model",
        words="[TEXT]",
        flags=(
            Flag("--prompt", VALUE, "the text; - reads it from standard input", "TEXT"),
        ),
        settings=(*WHICH_RUN, "chat"),
        on_run=True,
        changeable=(*ALWAYS_MAY_CHANGE, "chat"),
    ),
    "chat": Command(
        help="talk to a model in the terminal",
        module="slangmod.commands.chat",
        group="Using a model",
        settings=(*WHICH_RUN, "chat"),
        on_run=True,
        changeable=(*ALWAYS_MAY_CHANGE, "chat"),
    ),
    "plan": Command(
        help="what training will take, before its first step",
        module="slangmod.commands.plan",
        group="Settings",
        flags=(*PLANNING, JSON),
        settings=(ALL,),
    ),
    "bench": Command(
        help="how fast this machine is, beside others",
        module="slangmod.commands.bench",
        group="How fast it is",
        flags=(FULL, JSON),
        settings=("threads", "data.device", "log_level"),
        default_file=False,
        heeds_only_these=True,
    ),
    "profile": Command(
        help="what a few training steps spend their time on",
        module="slangmod.commands.profile",
        group="How fast it is",
        flags=(STEPS, TRACE),
        settings=TRAINING,
    ),
    "config show": Command(
        help="all settings as TOML, each with its origin (alias: dry-run)",
        module="slangmod.commands.config",
        group="Settings",
        flags=(
            Flag("--changed", SWITCH, "only what is not as by default"),
            Flag("--derived", SWITCH, "derived values that need time or the data, too"),
            JSON,
        ),
        settings=(ALL,),
    ),
    "config explain": Command(
        help="meaning, type, range, default and origin of a setting",
        module="slangmod.commands.config",
        group="Settings",
        words="KEY ...",
        flags=(JSON,),
        settings=(ALL,),
    ),
    "config diff": Command(
        help="which settings differ between two files or runs",
        module="slangmod.commands.config",
        group="Settings",
        words="A B",
        flags=(JSON,),
        resolves=False,
    ),
    "config check": Command(
        help="all problems of any number of files",
        module="slangmod.commands.config",
        group="Settings",
        words="FILE ...",
        resolves=False,
    ),
    "config example": Command(
        help="a file that has every setting, with its default and its meaning",
        module="slangmod.commands.config",
        group="Settings",
        resolves=False,
    ),
    "config schema": Command(
        help="JSON schema, by which editors complete and check",
        module="slangmod.commands.config",
        group="Settings",
        resolves=False,
    ),
}
"""All actions by name, in the order of the help."""

ALIASES = {"dry-run": "config show"}
"""Other names that actions are known by."""


def own_flags() -> dict[str, Flag]:
    """The flags of all actions by name without dashes."""
    return {
        flag.name.removeprefix("--"): flag
        for command in COMMANDS.values()
        for flag in command.flags
    }
