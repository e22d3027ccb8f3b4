"""The learning rate of a training that is planned, drawn with characters."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotext

from slangmod.runs.curves import curve, end_of, round_numbers, tick
from slangmod.runs.terminal import COLOURS, LABEL_WIDTH

MOST_POINTS = 2000
"""Points of the curve; a terminal shows far fewer."""

MARGIN = LABEL_WIDTH + 1
"""Characters to the left of the first column of the curve."""


@dataclass(frozen=True)
class Marks:
    """The steps after which something happens: a row below the curve."""

    label: str
    """at most LABEL_WIDTH characters"""
    sign: str
    steps: tuple[int, ...]


def thinned(steps: Sequence[int], most: int) -> list[int]:
    """Every so many of ``steps``, so that there are at most ``most``; the last stays.

    >>> thinned(range(1, 11), 4)
    [1, 4, 7, 10]
    """
    every = max(1, -(-len(steps) // most))
    return list(steps[(len(steps) - 1) % every :: every])


def draw_rates(
    rates: Sequence[float], marks: Sequence[Marks], size: tuple[int, int], colour: bool
) -> str:
    """The rate of each step, counted from 1, in ``size`` columns by lines of text.

    Rows of marks come below, one for each kind that there is.
    """
    width, height = size[0], size[1] - len(marks)
    each = curve(range(1, len(rates) + 1), rates)
    top = 1.05 * end_of([each.y])
    each = each.clipped(len(rates), 0, top)
    places = thinned(range(len(each)), MOST_POINTS)
    steps, heights = list(each.x[places]), list(each.y[places])
    plotext.terminal.limit(width=False, height=False)
    figure = plotext.figure.clear()
    figure.theme("simple").plot_size(width, height)
    figure.title("learning rate over optimizer steps")
    marker = plotext.marker("braille", COLOURS[0])
    if steps:
        figure.draw(figure.signal(steps, heights, marker=marker).lines())
    ticks = round_numbers(0, top, max(2, height // 3))
    texts = [f"{place:.6g}"[:LABEL_WIDTH].rjust(LABEL_WIDTH) for place in ticks]
    figure.ruler("y").lim(0, top)
    figure.ruler("y").ticks(ticks, texts)
    ticks = round_numbers(0, len(rates), max(2, width // 16))
    figure.ruler("x").lim(0, len(rates))
    figure.ruler("x").ticks(ticks, [tick(place) for place in ticks])
    text = str(figure.build().string(colorless=not colour)).rstrip("\n")
    rows = [row_of(one, len(rates), width - MARGIN - 1) for one in marks]
    return "\n".join([text, *rows]) + "\n"


def row_of(marks: Marks, last: int, columns: int) -> str:
    """A row of marks, each in the column of its step; those of one column are one.

    >>> row_of(Marks("saved", "x", (5, 6, 10)), last=10, columns=6)
    '   saved   xx x'
    """
    row = [" "] * columns
    for step in marks.steps:
        row[round(step / last * (columns - 1))] = marks.sign
    return f"{marks.label:>{LABEL_WIDTH}} {''.join(row)}".rstrip()
