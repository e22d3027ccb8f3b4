"""What is known of a run, whatever became of it: for lists, tables and programs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slangmod.errors import DataError, SettingsError
from slangmod.runs.directory import RunDir
from slangmod.runs.recorders import AVERAGE_COLUMNS
from slangmod.runs.series import last_row, read_series
from slangmod.runs.summary import checked_summary
from slangmod.settings.literals import printable
from slangmod.settings.read import read_toml

RUNNING, ENDED, STOPPED, FAILED = "running", "ended", "stopped", "failed"
"""What a run may be: a process works on it; its own rules ended it; a signal or a kill
did, and ``resume`` goes on; an error did."""

WHOLE = ("epoch", "step", "batch", "tokens", "stage", "best_step")
"""Columns of counts."""


@dataclass(frozen=True)
class Overview:
    """One run at a glance; what is missing is empty."""

    name: str
    state: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    progress: Mapping[str, Any] = field(default_factory=dict)
    """How far it is, from the last rows of steps.csv and epochs.csv."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    """What could not be read, and why."""

    def table(self) -> dict[str, Any]:
        """All of it as plain values, the tables of the summary beside the settings."""
        about: dict[str, Any] = {"name": self.name, "state": self.state}
        for part in ("outcome", "validation", "cost", "environment"):
            about[part] = dict(self.summary.get(part, {}))
        if "stage" in self.summary:
            about["stage"] = list(self.summary["stage"])
        about["progress"] = dict(self.progress)
        about["settings"] = dict(self.settings)
        if self.problems:
            about["problems"] = list(self.problems)
        return about


def overview(run: RunDir) -> Overview:
    """Look at ``run``; nothing that is missing or broken there raises."""
    problems: list[str] = []
    settings: Mapping[str, Any] = {}
    summary: Mapping[str, Any] = {}
    try:
        settings = read_config(run.config)
    except DataError as error:
        problems.extend(error.problems)
    try:
        summary, misfits = checked_summary(run.summary)
        problems.extend(misfits)
    except DataError as error:
        problems.extend(error.problems)
    return Overview(
        run.name,
        state_of(run, summary),
        settings,
        progress_of(run),
        summary,
        tuple(problems),
    )


def state_of(run: RunDir, summary: Mapping[str, Any]) -> str:
    """Running, ended, stopped or failed."""
    if run.in_use():
        return RUNNING
    reason = summary.get("outcome", {}).get("reason", STOPPED)
    return reason if reason in (STOPPED, FAILED) else ENDED


def progress_of(run: RunDir) -> dict[str, Any]:
    """The newest row of steps.csv, and the newest and the best test loss."""
    row: dict[str, Any] = dict(last_row(run.steps))
    tests = read_series(run.epochs, ("step", "test_loss", *AVERAGE_COLUMNS))
    known = [(loss, step) for step, loss, _ in tests.rows() if math.isfinite(loss)]
    averages = [(loss, step) for step, _, loss in tests.rows() if math.isfinite(loss)]
    if known:
        row["test_loss"] = known[-1][0]
        row["best_test_loss"], row["best_step"] = min(known + averages)
    return {
        name: int(value) if name in WHOLE and math.isfinite(value) else value
        for name, value in row.items()
    }


def read_config(path: Path) -> dict[str, Any]:
    """The resolved settings of a run as nested tables.

    Raises DataError if they cannot be read; whether they are possible is not asked.
    """
    try:
        return read_toml(path)[0]
    except SettingsError as error:
        raise DataError(*error.problems) from error


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, by dotted keys whose control characters are escaped."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{prefix}{printable(key)}.")
        else:
            values[prefix + printable(key)] = value
    return values


def numbered(value: Any) -> Any:
    """``value`` with tables by number, from 1, in place of each list of tables."""
    if isinstance(value, Mapping):
        return {key: numbered(item) for key, item in value.items()}
    listed = value if isinstance(value, list | tuple) else ()
    if listed and all(isinstance(item, Mapping) for item in listed):
        return {str(place): numbered(item) for place, item in enumerate(listed, 1)}
    return value
