"""``slangmod compare``: runs side by side, what differs, how good, at what cost."""

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from slangmod.commands.call import Call
from slangmod.commands.choosing import all_runs, say
from slangmod.commands.drawing import Drawing
from slangmod.commands.summarize import to_json
from slangmod.errors import UserError
from slangmod.runs.overview import ENDED, Overview, flat, numbered, overview
from slangmod.settings.literals import literal

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
    ("cost", "peak_memory_bytes"),
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

OWN = ("name", "base", "size", "workdir")
"""Settings that differ without making a difference, or by others that are shown."""


def run(call: Call) -> None:
    """Print the runs in the format asked for; curves go with a table or a picture."""
    runs = all_runs(call)
    if not runs:
        raise UserError(
            f"{call.settings.workdir}: there are no runs to compare; "
            "`slangmod train` makes one"
        )
    drawing, plot = Drawing.of(runs), call.flags.get("plot")
    if plot:
        drawing.save(Path(str(plot)))
    rows = rows_of([overview(run) for run in runs])
    kind = (
        "json" if call.flags.get("json") else str(call.flags.get("format") or "table")
    )
    say(FORMATS[kind](rows))
    if kind == "table" and not plot:
        say("\n" + drawing.text(used_lines=0))


def rows_of(runs: Sequence[Overview]) -> list[Row]:
    """A row for each run: name, state, the settings that differ, the numbers."""
    settings = [flat(numbered(run.settings)) for run in runs]
    keys = dict.fromkeys(key for one in settings for key in one if key not in OWN)
    differing = [
        key
        for key in keys
        if any(one.get(key) != settings[0].get(key) for one in settings)
    ]
    return [
        {"name": run.name, "state": run.state}
        | {key: one.get(key) for key in differing}
        | numbers_of(run)
        for run, one in zip(runs, settings, strict=True)
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


def as_table(rows: Sequence[Row]) -> str:
    """Columns of text, a run each; rows that are empty in all runs are left out."""
    keys = [key for key in rows[0] if any(row[key] is not None for row in rows)]
    cells = [[key, *(shown(row[key]) for row in rows)] for key in keys]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [
                cell.rjust(width)
                for cell, width in zip(line[1:], widths[1:], strict=True)
            ]
        )
        + "\n"
        for line in cells
    )


def shown(value: Any) -> str:
    """A value for a person: numbers short, text without control characters."""
    if value is None:
        return "-"
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


def as_csv(rows: Sequence[Row]) -> str:
    """A line for each run, full precision, empty where nothing is known."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: in_a_cell(row[key]) for key in row} for row in rows)
    return text.getvalue()


FORMATS: dict[str, Callable[[Sequence[Row]], str]] = {
    "csv": as_csv,
    "json": to_json,
    "table": as_table,
}
