"""The curves of some runs, as text or as a picture, the way that fits the place."""

import logging
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from slangmod.errors import DataError
from slangmod.runs.curves import Axis, CurveReader, RunCurves
from slangmod.runs.directory import RunDir
from slangmod.runs.plots import check_picture, save_picture
from slangmod.runs.terminal import draw_text

LOG = logging.getLogger(__name__)

MOST_COLUMNS, MOST_LINES = 160, 45
"""Characters beyond which a drawing gets no better."""


@dataclass(frozen=True)
class Drawing:
    """Draws the same runs again and again while they grow."""

    readers: tuple[CurveReader, ...]

    @classmethod
    def of(cls, runs: tuple[RunDir, ...]) -> "Drawing":
        """A drawing of ``runs``."""
        return cls(tuple(CurveReader(run) for run in runs))

    @property
    def axis(self) -> Axis:
        """Steps for a run alone; tokens for several, whose steps may differ in size."""
        return "step" if len(self.readers) == 1 else "tokens"

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
        curves = self.curves()
        if not curves:
            where = ", ".join(str(reader.run.root) for reader in self.readers)
            raise DataError(f"{where}: nothing to draw yet; train some steps first")
        title = ", ".join(run.name for run in curves)
        save_picture(path, curves, self.axis, title)
        LOG.info("drawn into %s", path)


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
