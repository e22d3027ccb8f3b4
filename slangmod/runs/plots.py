"""Curves as a picture, .png or .svg, drawn by matplotlib (extra ``plots``)."""

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from slangmod.errors import UserError
from slangmod.files import write_bytes
from slangmod.runs.comparison import shown
from slangmod.runs.curves import AXES, Axis, RunCurves, end_of, tick, window

KINDS = (".png", ".svg")
COLOURS = ("#2b6cb0", "#dd6b20", "#2f855a", "#b83280", "#6b46c1", "#0987a0", "#975a16")
INK, EDGE, GRID = "#2d3748", "#a0aec0", "#e8edf3"
FAR = 1e15
"""Places from which on not all digits are told."""
STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.edgecolor": EDGE,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "xtick.color": EDGE,
    "xtick.labelcolor": INK,
    "ytick.color": EDGE,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "svg.hashsalt": "slangmod",
}


def check_picture(path: Path) -> None:
    """Raise UserError if no picture could be drawn into ``path``."""
    if path.suffix.lower() not in KINDS:
        raise UserError(f"--plot {path}: a picture ends in {' or '.join(KINDS)}")
    if not path.parent.is_dir():
        raise UserError(f"--plot {path}: there is no folder {path.parent}; make it")
    if find_spec("matplotlib") is None:
        raise UserError(
            f"--plot {path}: needs matplotlib; pip install 'slangmod[plots]'"
        )


def save_picture(
    path: Path, runs: tuple[RunCurves, ...], axis: Axis, title: str
) -> None:
    """Draw ``runs`` over each other into ``path``, all or nothing.

    Equal curves make equal bytes. Raises UserError as ``check_picture`` does.
    """
    check_picture(path)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    kind = path.suffix.lower()[1:]
    with rc_context(STYLE):
        figure = Figure(figsize=(9, 6), layout="constrained")
        losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        for place, run in enumerate(runs):
            colour = COLOURS[place % len(COLOURS)]
            if len(runs) == 1:
                draw_one(losses, run)
            else:
                draw_among_others(losses, run, colour)
            rates.plot(run.rate.x, run.rate.y, color=colour, linewidth=1.6)
            for border in run.borders if len(runs) == 1 else ():
                for panel in (losses, rates):
                    panel.axvline(border, color=EDGE, linewidth=1, linestyle=":")
        finish(losses, rates, runs, axis)
        figure.suptitle(title, x=0.01, ha="left", fontsize=14, fontweight="bold")
        picture = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(picture, format=kind, dpi=150, metadata=metadata)
    write_bytes(path, picture.getvalue())


def draw_one(losses: Any, run: RunCurves) -> None:
    """A run alone: training loss as logged and smoothed, test loss, and its best."""
    blue, orange = COLOURS[:2]
    smooth = run.train.smoothed()
    if smooth is not run.train:
        losses.plot(run.train.x, run.train.y, color=blue, alpha=0.22, linewidth=0.8)
    losses.plot(smooth.x, smooth.y, color=blue, linewidth=2, label="training")
    losses.plot(
        run.test.x, run.test.y, "o-", color=orange, linewidth=2, ms=5, label="test"
    )
    if run.best is not None:
        x, y = run.best
        label = f"best: {shown(y)} at {f'{x:,.0f}' if x < FAR else shown(x)}"
        losses.plot(x, y, "o", ms=11, mfc="none", mec=orange, mew=1.6, label=label)


def draw_among_others(losses: Any, run: RunCurves, colour: str) -> None:
    """One of several runs: its test loss, its smoothed training loss behind."""
    smooth = run.train.smoothed()
    if run.best is None:
        label = f" {run.name}  (training)"
        losses.plot(smooth.x, smooth.y, color=colour, linewidth=2, label=label)
        return
    losses.plot(smooth.x, smooth.y, color=colour, linewidth=1, alpha=0.35)
    label = f" {run.name}  {shown(run.best[1])}"
    losses.plot(
        run.test.x, run.test.y, "o-", color=colour, linewidth=2, ms=4.5, label=label
    )


def finish(losses: Any, rates: Any, runs: tuple[RunCurves, ...], axis: Axis) -> None:
    """Words, limits and ticks of both panels."""
    losses.set_ylim(*window([run.test for run in runs] + [run.train for run in runs]))
    losses.set_ylabel("loss, nats per token")
    if losses.get_legend_handles_labels()[1]:
        title = None if len(runs) == 1 else "best test loss"
        losses.legend(loc="upper right", title=title, alignment="left")
    rates.set_ylabel("learning rate")
    rates.set_ylim(0, 1.05 * end_of(run.rate.y for run in runs))
    rates.set_xlim(0, 1.05 * end_of(at for run in runs for at in run.places))
    rates.set_xlabel(AXES[axis])
    rates.xaxis.set_major_formatter(lambda number, _: tick(number))
    figure = losses.get_figure()
    figure.align_ylabels()
