"""What a sweep is going to do, checked before anything is written."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slangmod.commands.at_hand import data_at_hand
from slangmod.data.shards import check_fresh
from slangmod.errors import SettingsError, UserError
from slangmod.runs.directory import RunDir
from slangmod.search.space import (
    Space,
    combinations,
    described,
    open_space,
    settings_with,
)
from slangmod.settings.hashes import section_hash
from slangmod.settings.literals import literal
from slangmod.settings.paths import RUNS, corpus_folder, tokenizer_path
from slangmod.settings.resolved import Resolved
from slangmod.settings.run import may_change
from slangmod.settings.sections import Settings
from slangmod.settings.suggest import alternatives, among
from slangmod.settings.values import values_of
from slangmod.text.corpus import corpus_digests
from slangmod.text.documents import SPLITS
from slangmod.text.provenance import is_ours

TEST_LOSS = "test_loss"
METRICS: Mapping[str, tuple[str, ...]] = {
    "outcome": ("best_test_loss", "best_step", "steps", "epochs"),
    "validation": (
        *("loss", "perplexity", "bits_per_byte"),
        *("accuracy", "top_2_accuracy", "top_5_accuracy"),
    ),
    "cost": ("seconds", "tokens", "tokens_per_second", "mfu", "peak_memory_bytes"),
}
"""Numbers of a summary that can make a trial good, by table."""

MAY_DIFFER = (
    *("name", "workdir", "size", "base", "log_level", "progress", "threads", "repeat"),
    *("sweep", "chat", "plot", "track", "samples", "plugins", "extra", "files"),
    *("checkpoint", "data.device"),
)
"""Settings that a sweep may go on with other values of: its trials stay comparable."""

LEARNT_FROM = "sha256 of the data"
"""Name of what is neither setting nor searched, and has to stay the same."""

MAKES_DATA = ("tokens", "files")
"""Sections whose search means that trials have tokenizers and encodings of their own.
"""


@dataclass(frozen=True)
class Plan:
    """A sweep called ``name``: its settings, its space, and what has to stay as it is.

    ``about`` holds the latter, as the study keeps it. ``makes_data``: trials have
    tokenizers of their own.
    """

    name: str
    resolved: Resolved
    space: Space
    about: Mapping[str, Any]
    makes_data: bool

    @property
    def settings(self) -> Settings:
        """The settings of the sweep; those that are searched have a first candidate."""
        return self.resolved.settings

    @property
    def folder(self) -> Path:
        """Where the sweep and its trials live."""
        return RunDir.of(self.settings.workdir, self.name).root.absolute()

    @property
    def total(self) -> int:
        """How many trials there are to be; of a grid, no more than it has."""
        sweep = self.settings.sweep
        if sweep.sampler != "grid":
            return sweep.n_trials
        return min(sweep.n_trials, combinations(self.space))

    def trial(self, number: int) -> RunDir:
        """The run of a trial."""
        return RunDir.of(self.settings.workdir, f"{self.name}/trial-{number:03d}")

    def settings_of(self, values: Mapping[str, Any], place: str) -> Resolved:
        """The settings with the ``values`` of a trial. Raises SettingsError."""
        return settings_with(self.resolved, values, place, data_at_hand)

    def threads(self) -> int | None:
        """CPU threads of each trial, its share of the cores; None: as set."""
        workers = self.settings.sweep.workers
        if workers == 1 or self.settings.threads is not None:
            return None
        can_tell = hasattr(os, "sched_getaffinity")
        cores = len(os.sched_getaffinity(0)) if can_tell else os.cpu_count() or 1
        return max(1, cores // workers)


def make_plan(resolved: Resolved, name: str) -> Plan:
    """The plan of a sweep. Raises UserError with all that is wrong with it."""
    settings, problems = resolved.settings, []
    problems += wrong_metric(settings.sweep.metric)
    problems += wrong_name(settings.workdir, name)
    if settings.repeat > 1:
        problems.append(
            f"repeat = {settings.repeat}: a sweep trains each trial once; search "
            "through seed for more"
        )
    try:
        space = open_space(resolved, data_at_hand)
    except SettingsError as error:
        raise SettingsError(*problems, *error.problems) from None
    makes_data = any(may_change((*key.split("."),), MAKES_DATA) for key in space)
    if makes_data:
        problems += wrong_data(settings, space)
    if problems:
        raise UserError(*problems)
    about = what_stays(settings, space)
    about["settings"][LEARNT_FROM] = learnt_from(settings, makes_data)
    return Plan(name, resolved, space, about, makes_data)


def learnt_from(settings: Settings, makes_data: bool) -> str:
    """The sha256 of the corpus, where trials encode it themselves, or of its encodings.

    Raises DataError where that is missing or stale.
    """
    if not makes_data:
        return check_fresh(settings).fingerprint()
    return section_hash(corpus_digests(corpus_folder(settings), SPLITS))


def what_stays(settings: Settings, space: Space) -> dict[str, Any]:
    """What must not change while a sweep is under way, as plain text."""
    return {
        "space": described(space),
        "direction": settings.sweep.direction,
        "metric": settings.sweep.metric,
        "settings": {
            ".".join(path): literal(value)
            for path, value in values_of(settings)
            if not may_change(path, MAY_DIFFER) and ".".join(path) not in space
        },
    }


def fingerprint(plan: Plan) -> str:
    """By which a sweep that nobody named is known again."""
    return section_hash(plan.about)


def wrong_metric(metric: str) -> list[str]:
    """What is wrong with ``sweep.metric``."""
    known = [TEST_LOSS, *(f"{t}.{n}" for t, names in METRICS.items() for n in names)]
    if metric in known:
        return []
    near = alternatives(among(metric, known))
    hint = f"; did you mean {near}?" if near else ""
    return [f'sweep.metric = "{metric}": choose one of {", ".join(known)}{hint}']


def number_of(summary: Mapping[str, Mapping[str, Any]], metric: str) -> float | None:
    """The number in a summary that ``metric`` names; None where it is not there."""
    name = "outcome.best_test_loss" if metric == TEST_LOSS else metric
    table, _, key = name.partition(".")
    value = summary.get(table, {}).get(key)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value is not None else None


def wrong_name(workdir: str, name: str) -> list[str]:
    """What is wrong with the name of a sweep."""
    run = RunDir.of(workdir, name)
    if "/" in name or name == RUNS:
        return [f'name = "{name}": is no name for a sweep; choose another']
    if run.exists():
        return [f'name = "{name}": there is a run of that name; choose another']
    return []


def wrong_data(settings: Settings, space: Space) -> list[str]:
    """Why trials cannot have tokenizers of their own."""
    if not corpus_folder(settings).is_dir():
        return [f"{corpus_folder(settings)}: there is no corpus; run `slangmod clean`"]
    if settings.files.tokenizer is None or "files.tokenizer" in space:
        return []
    path = tokenizer_path(settings)
    reason = (
        "was not made by slangmod and is used as it is"
        if path.exists() and not is_ours(path)
        else "would be written by every trial"
    )
    return [f'files.tokenizer = "{path}": {reason}, so no [tokens] can be searched']


def guessing_loss(settings: Settings) -> float:
    """The loss of any token being as likely as any other, in nats per token."""
    data = data_at_hand(settings) if tokenizer_path(settings).is_file() else None
    return math.log(data.vocab if data else settings.tokens.vocab)


def warnings_of(plan: Plan) -> list[str]:
    """What may not be meant, though it is possible."""
    warnings, sweep = [], plan.settings.sweep
    per_token = (TEST_LOSS, "outcome.best_test_loss", "validation.loss")
    if plan.makes_data and sweep.metric in per_token:
        warnings.append(
            f'sweep.metric = "{sweep.metric}": cannot be compared between tokenizers; '
            'sweep.metric = "validation.bits_per_byte" can'
        )
    if sweep.sampler == "grid" and (whole := combinations(plan.space)) > sweep.n_trials:
        warnings.append(
            f"sweep.n_trials = {sweep.n_trials}: the grid has {whole} combinations; "
            f"the last {whole - sweep.n_trials} are left out"
        )
    return warnings
