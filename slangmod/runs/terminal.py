"""Curves drawn with characters, for a terminal or a text file."""

from dataclasses import dataclass, replace
from typing import Any

import plotext

from slangmod.runs.curves import (
    AXES,
    Axis,
    Curve,
    RunCurves,
    end_of,
    round_numbers,
    tick,
    window,
)

COLOURS = (33, 208, 35, 170, 44, 220, 160, 245)
"""Of a terminal's 256, one a line, used again from the first when there are more."""

MARKS = "●■▲◆○□△◇"
"""Tell lines apart where there is no colour."""

LEAST_HEIGHT = 8
"""Lines of text that a panel needs to be read."""

LABEL_WIDTH = 8
"""Characters of the numbers on the left, so that panels stand in line."""


@dataclass(frozen=True)
class Line:
    """A curve, its name in the legend, its colour, and the mark at its points."""

    label: str
    curve: Curve
    colour: int
    mark: str = ""
    """Empty where the points are not marked."""


@dataclass(frozen=True)
class Panel:
    """Lines over a common pair of axes."""

    title: str
    lines: tuple[Line, ...]
    low: float
    high: float


def draw_text(
    runs: tuple[RunCurves, ...], axis: Axis, size: tuple[int, int], colour: bool
) -> str:
    """Losses, and below them learning rates, in ``size`` columns by lines of text.

    Of one run the training and the test loss are drawn; of several the test losses,
    or the training losses of those that have none.
    """
    width, height = size
    panels = [losses(runs)]
    heights = [height]
    if height * 3 // 10 >= LEAST_HEIGHT:
        panels.append(rates(runs))
        heights = [height - height * 3 // 10, height * 3 // 10]
    right = end_of(at for run in runs for at in run.places)
    labels = [""] * (len(panels) - 1) + [AXES[axis]]
    return "".join(
        panel_text(panel, label, right, (width, lines), colour)
        for panel, label, lines in zip(panels, labels, heights, strict=True)
    )


def losses(runs: tuple[RunCurves, ...]) -> Panel:
    """The losses worth comparing."""
    lines = []
    for place, run in enumerate(runs):
        colour, mark = COLOURS[place % len(COLOURS)], MARKS[place % len(MARKS)]
        test = len(run.test) > 0
        if len(runs) == 1:
            lines.append(Line("training", run.train.smoothed(), colour))
            lines.append(Line("test", run.test, COLOURS[1], mark))
        elif test:
            lines.append(Line(run.name, run.test, colour, mark))
        else:
            training = run.train.smoothed()
            lines.append(Line(f"{run.name} (training)", training, colour))
    low, high = window(line.curve for line in lines)
    return Panel("loss, nats per token", tuple(lines), low, high)


def rates(runs: tuple[RunCurves, ...]) -> Panel:
    """The learning rates, from 0."""
    lines = tuple(
        Line("", run.rate, COLOURS[place % len(COLOURS)])
        for place, run in enumerate(runs)
    )
    return Panel("learning rate", lines, 0.0, 1.05 * end_of(run.rate.y for run in runs))


def panel_text(
    panel: Panel, label: str, right: float, size: tuple[int, int], colour: bool
) -> str:
    """One panel as text; ``right`` is the end of its horizontal axis."""
    plotext.terminal.limit(width=False, height=False)
    figure = plotext.figure.clear()
    figure.theme("simple").plot_size(*size).title(panel.title)
    if label:
        figure.label(label)
    for line in panel.lines:
        curve = line.curve.clipped(right, panel.low, panel.high)
        draw(figure, replace(line, curve=curve))
    figure.legend(x=right, y=panel.high, ha="right", relative=True)
    places = round_numbers(panel.low, panel.high, max(2, size[1] // 3))
    texts = [f"{place:.6g}"[:LABEL_WIDTH].rjust(LABEL_WIDTH) for place in places]
    figure.ruler("y").lim(panel.low, panel.high)
    figure.ruler("y").ticks(places, texts)
    places = round_numbers(0, right, max(2, size[0] // 16))
    figure.ruler("x").lim(0, right)
    figure.ruler("x").ticks(places, [tick(place) for place in places])
    return str(figure.build().string(colorless=not colour))


def draw(figure: Any, line: Line) -> None:
    """Add ``line`` to ``figure``, with marks at its points if it has a mark."""
    if not len(line.curve):
        return
    x, y = list(line.curve.x), list(line.curve.y)
    signal = figure.signal(x, y, marker=plotext.marker("braille", line.colour)).lines()
    if line.mark:
        figure.draw(signal)
        signal = figure.signal(x, y, marker=plotext.marker(line.mark, line.colour))
    if line.label:
        signal.label(line.label)
    figure.draw(signal)
