"""The curves of some runs, as text or as a picture, the way that fits the place."""

import logging
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from slangmod.errors import DataError
from slangmod.runs.curves import Axis, CurveReader, RunCurves
from slangmod.runs.directory import RunDir
from slangmod.runs.gnuplot import script
from slangmod.runs.plots import check_picture, save_picture
from slangmod.runs.points import stride_of
from slangmod.runs.terminal import draw_text
from slangmod.settings.sections import Plot

LOG = logging.getLogger(__name__)

MOST_COLUMNS, MOST_LINES = 160, 45
"""Characters beyond which a drawing gets no better."""


DRAW_AT_LEAST = 5.0
"""Seconds after which a picture is drawn again for the least that is new."""


@dataclass
class Drawn:
    """What there was when a picture was last due."""

    rows: int = -1
    tests: int = -1
    time: float = 0.0


@dataclass(frozen=True)
class Drawing:
    """Draws the same runs again and again while they grow, over ``axis``."""

    readers: tuple[CurveReader, ...]
    axis: Axis
    drawn: Drawn = field(default_factory=Drawn)

    @classmethod
    def of(cls, runs: tuple[RunDir, ...], axis: Axis | None = None) -> "Drawing":
        """A drawing of ``runs``.

        Where no axis is asked for: steps for a run alone; tokens for several, whose
        steps may differ in size.
        """
        fitting: Axis = "step" if len(runs) == 1 else "tokens"
        return cls(tuple(CurveReader(run) for run in runs), axis or fitting)

    def is_due(self, plot: Plot, now: float) -> bool:
        """Whether to draw again at ``now``, in seconds of any clock.

        That is when there are ``plot_frequency`` new points, of as many rows as
        ``record_frequency`` says, a new evaluation, or after some seconds anything.
        """
        for reader in self.readers:
            reader.refresh()
        rows = sum(len(reader.steps) for reader in self.readers)
        tests = sum(len(reader.tests) for reader in self.readers)
        drawn = self.drawn
        points = (rows - drawn.rows) / stride_of(rows, plot.record_frequency)
        late = now - drawn.time >= DRAW_AT_LEAST and rows != drawn.rows
        due = drawn.rows < 0 or tests != drawn.tests or late or rows < drawn.rows
        if not due and points < plot.plot_frequency:
            return False
        drawn.rows, drawn.tests, drawn.time = rows, tests, now
        return True

    def gnuplot(self) -> str:
        """A script by which gnuplot draws the curves as they are now."""
        return script(self.existing_curves(), self.axis)

    def curves(self) -> tuple[RunCurves, ...]:
        """The curves as they are now, of runs that have any."""
        for reader in self.readers:
            reader.refresh()
        curves = (reader.curves(self.axis) for reader in self.readers)
        return tuple(run for run in curves if not run.is_empty())

    def text(self, used_lines: int) -> str:
        """The curves in characters, leaving ``used_lines`` of the terminal free."""
        curves = self.curves()
        if not curves:
            return "nothing to draw yet\n"
        return draw_text(curves, self.axis, drawing_size(used_lines), colourful())

    def save(self, path: Path) -> None:
        """The curves as a picture; DataError if there are none."""
        check_picture(path)
        curves = self.existing_curves()
        title = ", ".join(run.name for run in curves)
        save_picture(path, curves, self.axis, title)
        LOG.info("drawn into %s", path)

    def existing_curves(self) -> tuple[RunCurves, ...]:
        """The curves as they are now; DataError if there are none."""
        curves = self.curves()
        if not curves:
            where = ", ".join(str(reader.run.root) for reader in self.readers)
            raise DataError(f"{where}: nothing to draw yet; train some steps first")
        return curves


def colourful() -> bool:
    """Whether standard output shows colours and they are wanted."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def drawing_size(used_lines: int) -> tuple[int, int]:
    """Columns and lines that a drawing may have beside ``used_lines`` of text."""
    columns, lines = shutil.get_terminal_size((100, 36))
    return (
        max(40, min(columns, MOST_COLUMNS)),
        max(10, min(lines - used_lines, MOST_LINES)),
    )
