"""Tells trackers of a run: a callback that turns events into rows of numbers."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from slangmod.errors import DataError, StoppedError
from slangmod.runs.delivery import Delivery
from slangmod.runs.directory import RunDir
from slangmod.runs.summary import read_summary
from slangmod.runs.tracker import FAILED, FINISHED, KILLED, Ending, Row
from slangmod.settings.secrets import without_passwords
from slangmod.training.events import EpochDone, Event, StepDone

OF_STEPS = frozenset(StepDone.__slots__)
"""What evaluations need not tell again."""


class Tracking:
    """A callback that passes on every so many rows of steps.csv, and each evaluation.

    A row is due when training has passed a multiple of ``stride`` mini-batches since
    the last one, so that a resumed run tells the steps that it would have told; and
    the very last one is. ``batch``: mini-batches done so far. Without ``deliveries``
    nothing is done.
    """

    def __init__(
        self,
        run: RunDir,
        deliveries: Sequence[Delivery],
        stride: int,
        *,
        batch: int = 0,
        artifacts: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._run = run
        self._deliveries = deliveries
        self._stride = stride
        self._batch = batch
        self._artifacts = artifacts
        self._clock = clock
        self._untold: Row | None = None

    def __call__(self, event: Event) -> None:
        """Pass on what is due."""
        if isinstance(event, StepDone):
            row = Row(event.step, self._clock(), numbers_of(event, {"step"}))
            due = event.batch // self._stride > self._batch // self._stride
            self._batch = event.batch
            self._untold = None if due else row
            if due:
                self._put(row)
        elif isinstance(event, EpochDone):
            self._put(Row(event.step, self._clock(), numbers_of(event, OF_STEPS)))
        for delivery in self._deliveries:
            delivery.speak()

    def go_back_to(self, batch: int) -> None:
        """Tell the rows after ``batch`` mini-batches once more, as they now come.

        What trackers know of them stays with them; they take no row back.
        """
        self._batch, self._untold = batch, None

    def close(self, error: BaseException | None) -> None:
        """Tell how the run ended, ``error`` saying why if not by its own rules.

        Waits a while for what is still under way.
        """
        if not self._deliveries:
            return
        status = status_of(error)
        tables = self._summary()
        if self._untold is not None:
            self._put(self._untold)
        values = dict(flat_numbers(tables))
        if values:
            step = int(tables.get("outcome", {}).get("steps", 0))
            self._put(Row(step, self._clock(), values))
        ending = Ending(status, flat_facts(tables), self._files(status))
        for delivery in self._deliveries:
            delivery.end(ending)
        for delivery in self._deliveries:
            delivery.wait()

    def _put(self, row: Row) -> None:
        for delivery in self._deliveries:
            delivery.put(row)

    def _summary(self) -> Mapping[str, Mapping[str, Any]]:
        """The summary, unless training did not get as far as writing one."""
        try:
            return tables_of(read_summary(self._run.summary)) if self._batch else {}
        except DataError:
            return {}

    def _files(self, status: str) -> tuple[Path, ...]:
        if not self._artifacts:
            return ()
        run = self._run
        model = (run.model,) if status == FINISHED else ()
        return tuple(p for p in (run.config, run.summary, *model) if p.exists())


def status_of(error: BaseException | None) -> str:
    """How a run ended, given what was raised."""
    if error is None:
        return FINISHED
    return KILLED if isinstance(error, StoppedError | KeyboardInterrupt) else FAILED


def numbers_of(event: Event, without: frozenset[str] | set[str]) -> dict[str, float]:
    """The fields of ``event`` that are numbers, whatever they are called."""
    values = ((field.name, getattr(event, field.name)) for field in fields(event))
    return {
        name: value
        for name, value in values
        if type(value) in (int, float) and name not in without
    }


def tables_of(summary: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The tables of a summary by name, those of stages as ``stage.1`` and so on."""
    tables: dict[str, Mapping[str, Any]] = {}
    for name, content in summary.items():
        if isinstance(content, Mapping):
            tables[name] = content
        else:
            for number, table in enumerate(content, start=1):
                tables[f"{name}.{number}"] = table
    return tables


def flat_numbers(
    tables: Mapping[str, Mapping[str, Any]],
) -> list[tuple[str, float]]:
    """The results in a summary by dotted name: all numbers but the environment's."""
    return [
        (f"{table}.{name}", value)
        for table, entries in tables.items()
        if table != "environment"
        for name, value in entries.items()
        if type(value) in (int, float)
    ]


def flat_facts(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What else a summary says, by dotted name."""
    numbers = dict(flat_numbers(tables))
    facts = {f"{t}.{name}": v for t, e in tables.items() for name, v in e.items()}
    return {
        name: without_passwords(str(value))
        for name, value in facts.items()
        if name not in numbers
    }
