"""``slangmod compare``: runs side by side, what differs, how good, at what cost."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from slangmod.commands.call import Call
from slangmod.commands.choosing import all_runs, say
from slangmod.commands.drawing import Drawing
from slangmod.commands.summarize import to_json
from slangmod.errors import UserError
from slangmod.runs.comparison import Row, aligned, in_a_cell, rows_of, shown
from slangmod.runs.curves import AXES, RunCurves, tick
from slangmod.runs.directory import RunDir
from slangmod.runs.groups import Group, differences, groups_of
from slangmod.runs.overview import overview
from slangmod.runs.report import report_page
from slangmod.settings.sections import Plot

FEW = 100
"""Points of a training loss that are printed as numbers."""


@dataclass(frozen=True)
class Comparison:
    """All that is printed, in one format or another."""

    runs: tuple[RunDir, ...]
    rows: Sequence[Row]
    """One a run, all with the same keys."""
    groups: Sequence[Group]
    drawing: Drawing
    plot: Plot

    def group_of(self, name: str) -> Group:
        """The group that the run called ``name`` is in."""
        return next(group for group in self.groups if name in group.runs)


def run(call: Call) -> None:
    """Print the runs in the format asked for; curves go with a table or a picture."""
    runs = all_runs(call)
    if not runs:
        raise UserError(
            f"{call.settings.workdir}: there are no runs to compare; "
            "`slangmod train` makes one"
        )
    refuse_two_ways(call)
    by: Any = call.flags.get("by")  # one of the flag's choices
    drawing, plot = Drawing.of(runs, by), call.flags.get("plot")
    if call.flags.get("gnuplot"):
        say(drawing.gnuplot())
        return
    if plot:
        drawing.save(Path(str(plot)))
    abouts = [overview(run) for run in runs]
    rows, groups = rows_of(abouts), groups_of(abouts)
    comparison = Comparison(runs, rows, groups, drawing, call.settings.plot)
    kind = (
        "json" if call.flags.get("json") else str(call.flags.get("format") or "table")
    )
    say(FORMATS[kind](comparison))
    if kind == "table" and not plot:
        say("\n" + drawing.text(used_lines=0))


def refuse_two_ways(call: Call) -> None:
    """Raise UserError where what is asked for cannot be printed at the same time."""
    given = [name for name in ("gnuplot", "json", "format") if call.flags.get(name)]
    if call.flags.get("gnuplot") and call.flags.get("plot"):
        given = ["gnuplot", "plot"]
    if len(given) > 1 and (given[0] == "gnuplot" or call.flags["format"] != "json"):
        raise UserError(f"--{given[0]} and --{given[1]}: give one of them")


def as_text(comparison: Comparison) -> str:
    """Tables for a person: the runs, their losses at equal places, repeated runs."""
    rows = comparison.rows
    keys = [key for key in rows[0] if any(row[key] is not None for row in rows)]
    text = as_table([[key, *(shown(row[key]) for row in rows)] for key in keys])
    curves = comparison.drawing.curves()
    places, losses = aligned(curves)
    if len(curves) > 1 and places:
        head = [f"test loss, {AXES[comparison.drawing.axis]}"]
        lines = [head + [run.name for run in curves]]
        for number, place in enumerate(places):
            lines.append([tick(place), *(shown(of[number]) for of in losses)])
        text += "\n" + as_table(lines)
    if any(len(group.runs) > 1 for group in comparison.groups):
        text += "\n" + repeated(comparison.groups)
    return text


def repeated(groups: Sequence[Group]) -> str:
    """Means and spreads of runs that differ in their seeds alone, and what they say."""
    lines = [["best test loss", "runs", "mean", "spread"]]
    for group in groups:
        ended = "" if group.ended else " so far"
        values = [str(len(group.values)), shown(group.mean), shown(group.spread)]
        lines.append([group.name + ended, *values])
    sentences = "".join(f"{one.sentence()}\n" for one in differences(groups))
    return as_table(lines) + sentences


def as_table(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as columns of text, the first to the left, others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(
            [line[0].ljust(widths[0])]
            + [
                cell.rjust(width)
                for cell, width in zip(line[1:], widths[1:], strict=True)
            ]
        )
        + "\n"
        for line in lines
    )


def as_json(comparison: Comparison) -> str:
    """A list with an object for each run: its row, its group, its curves."""
    drawing = comparison.drawing
    curves = {run.name: run for run in drawing.curves()}
    return to_json(
        [
            {
                **row,
                "group": about_group(comparison, row["name"]),
                "curves": about_curves(drawing.axis, curves.get(row["name"])),
            }
            for row in comparison.rows
        ]
    )


def about_group(comparison: Comparison, name: str) -> dict[str, Any]:
    """The group that a run is in, and how it differs from the others."""
    group = comparison.group_of(name)
    others = [one for one in comparison.groups if one is not group]
    found = (one for other in others for one in differences([group, other]))
    return group.table() | {
        "differences": [{**asdict(one), "exceeds": one.exceeds} for one in found]
    }


def about_curves(axis: str, run: RunCurves | None) -> dict[str, Any]:
    """The losses of a run as numbers, that of training in means of many rows."""
    found = {"train": run.train.thinned(FEW), "test": run.test} if run else {}
    return {"by": axis} | {
        name: {"x": curve.x.tolist(), "y": curve.y.tolist()}
        for name, curve in found.items()
    }


def as_csv(comparison: Comparison) -> str:
    """A line for each run, full precision, empty where nothing is known."""
    rows = [
        row
        | {
            "group": group.name,
            "group.mean": group.mean,
            "group.spread": group.spread,
        }
        for row in comparison.rows
        for group in [comparison.group_of(row["name"])]
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: in_a_cell(row[key]) for key in row} for row in rows)
    return text.getvalue()


def as_html(comparison: Comparison) -> str:
    """The page that ``slangmod report`` writes."""
    now = datetime.now().astimezone()
    return report_page(comparison.runs, comparison.plot, now)


FORMATS: dict[str, Callable[[Comparison], str]] = {
    "csv": as_csv,
    "html": as_html,
    "json": as_json,
    "table": as_text,
}
