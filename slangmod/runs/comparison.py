"""Runs beside each other: settings that differ, numbers, losses at equal places."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from slangmod.runs.curves import Curve, RunCurves, round_numbers
from slangmod.runs.overview import ENDED, Overview, flat, numbered
from slangmod.settings.literals import literal
from slangmod.training.times import PARTS

Row = dict[str, Any]

NUMBERS = (
    ("outcome", "reason"),
    ("outcome", "steps"),
    ("outcome", "epochs"),
    ("outcome", "best_step"),
    ("outcome", "best_test_loss"),
    ("validation", "loss"),
    ("validation", "perplexity"),
    ("validation", "bits_per_byte"),
    ("validation", "accuracy"),
    ("validation", "top_2_accuracy"),
    ("validation", "top_5_accuracy"),
    ("cost", "seconds"),
    ("cost", "tokens"),
    ("cost", "tokens_per_second"),
    ("cost", "mfu"),
    ("cost", "peak_memory_bytes"),
    *(("cost", f"{part}_seconds") for part in PARTS),
)
"""Table and key of what a summary tells, in the order shown."""

SO_FAR = {
    "outcome.steps": "step",
    "outcome.epochs": "epoch",
    "outcome.best_step": "best_step",
    "outcome.best_test_loss": "best_test_loss",
    "cost.tokens": "tokens",
    "cost.tokens_per_second": "tokens_per_second",
}
"""Numbers that a run has before its end, and where its progress has them."""

OWN = ("name", "base", "size", "workdir", "repeat")
"""Settings that differ without making a difference, or by others that are shown."""

PLACES = 8
"""About so many places of a curve are shown as numbers."""

CLOSE = 0.02
"""Places that are closer, as a share of where they are, count as one."""


def rows_of(runs: Sequence[Overview]) -> list[Row]:
    """A row for each run: name, state, the settings that differ, the numbers."""
    settings = [flat(numbered(run.settings)) for run in runs]
    differing = differing_keys(settings)
    return [
        {"name": run.name, "state": run.state}
        | {key: one.get(key) for key in differing}
        | numbers_of(run)
        for run, one in zip(runs, settings, strict=True)
    ]


def differing_keys(settings: Sequence[Row]) -> list[str]:
    """Dotted names of settings that are not the same in all of ``settings``."""
    keys = dict.fromkeys(key for one in settings for key in one if key not in OWN)
    return [
        key
        for key in keys
        if any(one.get(key) != settings[0].get(key) for one in settings)
    ]


def numbers_of(run: Overview) -> Row:
    """The numbers of a run's summary; where it has not ended, how far it is."""
    row = {f"{part}.{key}": run.summary.get(part, {}).get(key) for part, key in NUMBERS}
    if run.state != ENDED:
        row |= {
            number: run.progress[column]
            for number, column in SO_FAR.items()
            if column in run.progress
        }
    return row


def aligned(runs: Sequence[RunCurves]) -> tuple[list[float], list[list[float | None]]]:
    """Round places on the axis and its end, and for each run its test loss there.

    That is the loss of the last evaluation up to the place; None before the first one
    and beyond the end of a run, since nothing is guessed between or after evaluations.
    """
    curves = [run.test for run in runs]
    end = max((float(curve.x[-1]) for curve in curves if len(curve)), default=0.0)
    if end <= 0:
        return [], [[] for _ in runs]
    rounded = round_numbers(0, end, PLACES)
    places = [place for place in rounded if 0 < place < end * (1 - CLOSE)] + [end]
    return places, [[loss_at(curve, place) for place in places] for curve in curves]


def loss_at(curve: Curve, place: float) -> float | None:
    """The last value of ``curve`` up to ``place``, if it does not end well before."""
    count = int(np.searchsorted(curve.x, place, side="right"))
    if count == 0 or curve.x[-1] < place * (1 - CLOSE):
        return None
    return float(curve.y[count - 1])


def shown(value: Any) -> str:
    """A value for a person: numbers short, text without control characters."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return literal(value)
    if isinstance(value, float):
        digits = "f" if 0.1 <= abs(value) < 1000 else "g"
        return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4{digits}}"
    return str(in_a_cell(value))


def in_a_cell(value: Any) -> Any:
    """A number as it is, text as it is if it can be printed, anything else as TOML."""
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, str) and value.isprintable():
        return value
    return literal(value)
