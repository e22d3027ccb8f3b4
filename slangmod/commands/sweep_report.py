"""What a sweep leaves behind: sweep.toml, best.toml, and pictures of both."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import tomli_w

from slangmod.commands.sweep_plan import Plan
from slangmod.commands.sweep_words import best_first
from slangmod.errors import DataError, SettingsError
from slangmod.files import write_bytes, write_text
from slangmod.reading import read_limited
from slangmod.runs.directory import NAME
from slangmod.runs.summary import read_summary
from slangmod.search.proposals import chosen
from slangmod.search.records import part, record_from
from slangmod.search.study import COMPLETE, RUNNING, Record
from slangmod.settings.literals import printable
from slangmod.settings.read import parse_toml
from slangmod.settings.show import show

LOG = logging.getLogger(__name__)

REPORT, BEST = "sweep.toml", "best.toml"
LARGEST = 1 << 24
"""Bytes that sweep.toml may have: some fifty thousand trials."""

LONGEST = 300
"""Characters of what is wrong with it that are told."""

MOST_THREADS = 1024
"""That the settings let a run have."""

DIRECTIONS = ("minimize", "maximize")

PICTURES = (".svg", ".png")


@dataclass(frozen=True)
class Report:
    """A sweep as sweep.toml has it: how it stands, its space in words, its trials."""

    name: str
    state: str
    direction: str
    metric: str
    n_trials: int
    fingerprint: str
    space: Mapping[str, str]
    trials: tuple[Record, ...]

    def best(self) -> Record | None:
        """The best of the trials that are complete, the first of equals."""
        first = next(iter(best_first(self.trials, self.direction)), None)
        return first if first is not None and first.state == COMPLETE else None

    def table(self) -> dict[str, Any]:
        """All of it as plain values: what was best, the sweep, all trials."""
        best = self.best()
        content: dict[str, Any] = {} if best is None else {"best": self._trial(best)}
        content["sweep"] = {
            "name": self.name,
            "state": self.state,
            "direction": self.direction,
            "metric": self.metric,
            "n_trials": self.n_trials,
            "done": sum(trial.state != RUNNING for trial in self.trials),
            "fingerprint": self.fingerprint,
            "space": dict(self.space),
        }
        content["trial"] = [self._trial(trial) for trial in self.trials]
        return content

    def _trial(self, trial: Record) -> dict[str, Any]:
        known = {
            "number": trial.number,
            "state": trial.state,
            "run": f"{self.name}/trial-{trial.number:03d}",
            "value": trial.value,
            "seconds": trial.seconds,
            "reason": trial.reason or None,
            "parameters": dict(trial.parameters),
        }
        return {name: value for name, value in known.items() if value is not None}


def write_report(folder: Path, report: Report) -> None:
    """Write sweep.toml, all or nothing."""
    write_text(folder / REPORT, tomli_w.dumps(report.table()))


def read_report(folder: Path) -> Report:
    """What sweep.toml says. Raises DataError where there is none, or none of ours."""
    path = folder / REPORT
    try:
        content, _ = parse_toml(read_limited(path, LARGEST), str(path))
        return report_from(content)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such sweep") from None
    except (OSError, ValueError, SettingsError) as error:
        reason = printable(str(error))[:LONGEST]
        raise DataError(f"{path}: cannot be read as a sweep: {reason}") from error


def report_from(content: Mapping[str, Any]) -> Report:
    """The report that tables of TOML hold; ValueError, saying where, if they do not."""
    sweep = part(content, "sweep", dict)
    space = part(sweep, "space", dict)
    for setting in space:
        part(space, setting, str)
    report = Report(
        part(sweep, "name", str),
        part(sweep, "state", str),
        part(sweep, "direction", str),
        part(sweep, "metric", str),
        part(sweep, "n_trials", int),
        part(sweep, "fingerprint", str),
        space,
        tuple(map(record_from, part(content, "trial", list, []))),
    )
    if not NAME.fullmatch(report.name):
        raise ValueError("name: is none of a sweep")
    if report.direction not in DIRECTIONS:
        raise ValueError("direction: is none")
    if len({trial.number for trial in report.trials}) < len(report.trials):
        raise ValueError("two trials have the same number")
    if not all(trial.parameters.keys() <= space.keys() for trial in report.trials):
        raise ValueError("a trial has parameters that are not in the space")
    return report


def write_best(plan: Plan, best: Record) -> Path:
    """Write best.toml, with which `train` makes the best trial once more, bit for bit.

    What the program chose for the trial, threads and whether to compile, is part of it.
    """
    values, found = chosen(plan.space, best.parameters), _chosen_in(plan, best.number)
    values |= {k: v for k, v in found.items() if k != "threads" or k not in values}
    place = f"trial {best.number} of sweep {plan.name}"
    path = plan.folder / BEST
    write_text(path, show(plan.settings_of(values, place).absolute(Path.cwd())))
    return path


def _chosen_in(plan: Plan, number: int) -> dict[str, Any]:
    """What the program chose for a trial, as its summary says; only what may be so."""
    try:
        chose = read_summary(plan.trial(number).summary).get("environment", {})
    except DataError as error:  # the sweep has come to its end all the same
        LOG.warning("%s; %s leaves threads to the program", error, BEST)
        return {}
    values: dict[str, Any] = {}
    threads = chose.get("threads")
    if type(threads) is int and 1 <= threads <= MOST_THREADS:
        values["threads"] = threads
    if chose.get("compiled") is False:
        values["model.compile"] = False
    return values


def draw(folder: Path, report: Report) -> list[Path]:
    """Draw history, importance and slices into ``folder``; -> the files.

    What cannot be drawn is left out, and it is said why. Raises DataError where what
    was tried is not in the space.
    """
    if find_spec("matplotlib") is None:
        LOG.warning("no pictures: they need matplotlib; pip install 'slangmod[plots]'")
        return []
    from slangmod.search.pictures import pictures_of

    drawn = []
    try:
        pictures = pictures_of(
            report.trials, report.space, report.direction, report.metric
        )
    except (ValueError, ArithmeticError) as error:
        reason = printable(str(error))[:LONGEST]
        raise DataError(f"{folder / REPORT}: cannot be drawn: {reason}") from error
    for name, make in pictures.items():
        for kind in PICTURES:
            content = make(kind)
            if content is None:
                LOG.info("no picture of the %s: there are too few trials for it", name)
                break
            write_bytes(folder / f"{name}{kind}", content)
            drawn.append(folder / f"{name}{kind}")
    return drawn


def numbers(records: Sequence[Record]) -> str:
    """How many trials stand how, in words: ``18 complete, 2 failed``."""
    counts: dict[str, int] = {}
    for record in records:
        counts[record.state] = counts.get(record.state, 0) + 1
    return ", ".join(f"{count} {state}" for state, count in counts.items())
