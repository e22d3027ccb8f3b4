"""Every setting of what goes on around training: talk, search, tracking, pictures.

One line each, as in ``sections``.
"""

# One line per setting, however long: the page reads as a table.
# ruff: noqa: E501
# fmt: off

from typing import Literal

from slangmod.settings.free import FreeTable
from slangmod.settings.setting import Duration, Free, Section, setting


class Chat(Section):
    """How text is generated, and how a conversation is laid out."""

    generator: Literal["greedy", "top_k", "top_p", "beamsearch"] = setting("greedy", "how the next token is chosen")
    max_tokens: int = setting(256, "longest answer", "tokens", ge=1)
    temperature: float = setting(1.0, "divides the logits before sampling", gt=0)
    k: int | float = setting(0.1, "top_k samples from so many tokens; below 1 a share of the vocabulary", gt=0)
    p: float = setting(0.8, "top_p samples from the fewest tokens that are this likely together", gt=0, le=1)
    width: int = setting(8, "beams of beamsearch", "beams", ge=1, le=4096)
    boost: float = setting(1.0, "length exponent of beams", ge=0, le=10)
    style: Literal["space", "paragraph", "quotes", "dialogue"] = setting("space", "how turns are joined")
    user: str = setting("USR", "name shown for the user")
    bot: str = setting("BOT", "name shown for the model")
    stop: str = setting("Stop!", "ends the conversation when typed, and the text of the model where it writes it")
    system: str = setting("", "text, or a file of text, that opens the conversation")


class Sweep(Section):
    """A search for hyper-parameters: what is tried, how often, and who chooses."""

    n_trials: int = setting(20, "trials in all, those before a restart included", "trials", ge=1)
    sampler: Literal["tpe", "random", "grid", "cmaes", "qmc"] = setting("tpe", "who chooses what is tried next: a model of what was good, chance, every combination, evolution, or an even spread")
    n_startup_trials: int = setting(5, "random trials before a sampler with a model or a pruner sets in", "trials", ge=0)
    seed: int = setting(1234, "from which the sampler's chance is drawn", ge=0)
    direction: Literal["minimize", "maximize"] = setting("minimize", "which values of the metric are good")
    metric: str = setting("test_loss", "what makes a trial good: the best test loss, or a number of the summary such as validation.accuracy")
    pruner: Literal["none", "median", "percentile", "halving", "hyperband", "patient", "threshold", "wilcoxon"] = setting("none", "who ends trials early that look bad at an evaluation")
    workers: int = setting(1, "trials that run at the same time", "processes", ge=1)
    timeout: Duration | None = setting(None, 'begin no trial after so much time, such as "2h"; unset: never', "time")
    storage: str | None = setting(None, "where the study is kept: a journal file, or a sqlite:/// or postgresql:// address; unset: study.journal in the folder of the sweep")
    space: Free = setting(FreeTable({}), 'free table: settings by dotted name, and what is tried for each, such as "interval(1e-4, 1e-2, log=true)" or "choice(32, 64)"')


class Track(Section):
    """Who else is told of a run."""

    backends: tuple[Literal["csv", "tensorboard", "mlflow"], ...] = setting(("csv",), "who is told of the course of a run; csv, the tables of its folder, are always written")
    uri: str | None = setting(None, "where mlflow keeps runs: an address, or a folder such as mlruns; unset: sqlite:///mlflow.db in workdir")
    experiment: str = setting("slangmod", "the experiment of mlflow that runs belong to")
    every: int = setting(20, "rows of steps.csv from one that trackers are told to the next", "rows", ge=1)
    artifacts: bool = setting(False, "give config, summary and model of a run to trackers that keep files, too")


class Samples(Section):
    """Text that the model writes as it learns."""

    every: int | None = setting(None, "mini-batches from one sample to the next; unset: none are written", "mini-batches", ge=1)
    prompts: tuple[str, ...] = setting(("",), "what is to be continued, a sample for each; the empty text begins a document")
    max_tokens: int = setting(48, "longest sample", "tokens", ge=1)


class Plot(Section):
    """How often pictures of a run are brought up to date."""

    record_frequency: int = setting(20, "rows of steps.csv that one point of a picture stands for, where there are many", "rows", ge=1)
    plot_frequency: int = setting(50, "points from one picture to the next while a run is watched", "points", ge=1)
