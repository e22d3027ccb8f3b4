"""The course of a run as points for a picture, handed out bit by bit as it grows.

Of a run with many rows a point stands for several: ``record_frequency`` of them, or
twice, four times ... as many, so that a picture never has more than ``MOST`` points.
"""

import math
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from slangmod.runs.curves import Numbers, drawable, seconds_of
from slangmod.runs.directory import RunDir
from slangmod.runs.overview import overview
from slangmod.runs.recorders import MEMORY_COLUMNS
from slangmod.runs.samples import SamplesReader
from slangmod.runs.series import Series

MANY = 2000
"""Rows up to which each is a point of its own."""

MOST = 4000
"""Points of a run."""

COUNTS = ("step", "epoch", "batch", "tokens", "stage", "seconds")
"""Columns that say where training was: a point has those of the last of its rows."""


@dataclass(frozen=True)
class Have:
    """What a page has of a run already: of which version, and how much."""

    version: str = ""
    points: int = 0
    tests: int = 0
    samples: int = 0


class Points:
    """Reads one run again and again; threads may share it."""

    def __init__(self, run: RunDir, record_frequency: int) -> None:
        self.run = run
        self._every = record_frequency
        self._steps, self._tests = Series(run.steps, None), Series(run.epochs, None)
        self._memory = Series(run.memory, MEMORY_COLUMNS)
        self._samples = SamplesReader(run.samples)
        self._lock = threading.Lock()

    def news(self, have: Have) -> dict[str, Any]:
        """All of the run that a page does not have yet, as JSON takes it.

        ``points``, ``tests``: columns of numbers, None where there is none, to be
        appended from row ``start`` on; ``tail``: one more point, of the rows that do
        not fill a point yet, to be replaced by the next. ``about``: the run at a
        glance.
        """
        with self._lock:
            # Memory after steps: it is measured before they are told.
            sources = self._steps, self._tests, self._samples, self._memory
            for source in sources:
                source.refresh()
            stride = stride_of(len(self._steps), self._every)
            rows = with_memory(with_seconds(self._steps.columns), self._memory)
            beginnings = sum(source.beginnings for source in sources)
            version = f"{beginnings}.{stride}.{len(rows)}"
            if have.version != version:
                have = Have()
            whole = len(self._steps) // stride
            tests = {name: drawable(of) for name, of in self._tests.columns.items()}
            samples = self._samples.samples[have.samples :]
        about = overview(self.run)
        return {
            "name": self.run.name,
            "version": version,
            "start": asdict(have),
            "rows_per_point": stride,
            "points": plain(binned(rows, have.points, whole, stride)),
            "tail": plain(tail_of(rows, whole * stride)),
            "tests": plain({name: of[have.tests :] for name, of in tests.items()}),
            "samples": [asdict(sample) for sample in samples],
            "about": {
                "state": about.state,
                "reason": about.summary.get("outcome", {}).get("reason"),
                "progress": finite(about.progress),
                "peak_memory_bytes": about.summary.get("cost", {}).get(
                    "peak_memory_bytes"
                ),
            },
        }


def stride_of(rows: int, record_frequency: int) -> int:
    """Rows that one point stands for.

    >>> [stride_of(rows, 20) for rows in (2000, 2001, 80_000, 80_001)]
    [1, 20, 20, 40]
    """
    if rows <= MANY:
        return 1
    stride = record_frequency
    while rows > MOST * stride:
        stride *= 2
    return stride


def with_seconds(columns: Mapping[str, Any]) -> dict[str, Numbers]:
    """The columns of steps.csv, and ``seconds`` of training."""
    rows = {name: drawable(of) for name, of in columns.items()}
    if "tokens" in columns and "tokens_per_second" in columns:
        rows["seconds"] = seconds_of(columns["tokens"], columns["tokens_per_second"])
    return rows


def with_memory(rows: dict[str, Numbers], memory: Series) -> dict[str, Numbers]:
    """``rows`` of steps.csv, each with the memory that was measured last by then.

    Without columns of memory where none was measured; nan before the first time.
    """
    if not len(memory) or "batch" not in rows:
        return rows
    last = np.searchsorted(np.array(memory["batch"]), rows["batch"], side="right") - 1
    for name in ("resident_bytes", "device_bytes"):
        rows[name] = np.where(last < 0, math.nan, drawable(memory[name])[last])
    return rows


def binned(
    rows: Mapping[str, Numbers], first: int, stop: int, stride: int
) -> dict[str, Numbers]:
    """Points ``first`` .. ``stop - 1``, each of ``stride`` rows."""
    return {
        name: merged(name, of[first * stride : stop * stride].reshape(-1, stride))
        for name, of in rows.items()
    }


def tail_of(rows: Mapping[str, Numbers], start: int) -> dict[str, Numbers]:
    """The rows from ``start`` on as one point, or none."""
    return {
        name: merged(name, of[start:].reshape(1, -1) if len(of) > start else of[:0])
        for name, of in rows.items()
    }


def merged(name: str, rows: Numbers) -> Numbers:
    """[points, rows] -> [points]: the last of a count, the mean of anything else."""
    if not rows.size:
        return np.zeros(0)
    if name in COUNTS:
        return rows[:, -1]
    known = np.isfinite(rows)
    total = np.where(known, rows, 0.0).sum(axis=1)
    counts = known.sum(axis=1)
    means = np.full(len(rows), math.nan)
    np.divide(total, counts, out=means, where=counts > 0)
    return means


def plain(columns: Mapping[str, Numbers]) -> dict[str, list[float | None]]:
    """Columns as JSON takes them: what is not finite becomes None."""
    return {
        name: [value if math.isfinite(value) else None for value in of.tolist()]
        for name, of in columns.items()
    }


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` without the numbers that JSON does not have."""
    return {
        name: value
        for name, value in values.items()
        if not isinstance(value, float) or math.isfinite(value)
    }
