"""What a tracker is told of a run, and what it has to be able to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from slangmod.runs.directory import RunDir

FINISHED, KILLED, FAILED = "FINISHED", "KILLED", "FAILED"
"""How a run may end: by its own rules, by a signal, by an error."""

Plain = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Row:
    """Numbers by name, of one moment."""

    step: int
    """optimizer steps done"""
    time: float
    """seconds since 1970"""
    values: Mapping[str, float]


@dataclass(frozen=True)
class Ending:
    """How a run ended, beyond its numbers."""

    status: str
    """FINISHED, KILLED or FAILED"""
    facts: Mapping[str, str]
    """what the summary says that is no number, by dotted name"""
    files: tuple[Path, ...] = ()
    """files and folders to keep with the run"""


@dataclass(frozen=True)
class Subject:
    """The run that trackers are told of."""

    run: RunDir
    parameters: Mapping[str, Plain]
    """settings and derived values by dotted name"""
    uri: str | None
    """``track.uri``"""
    experiment: str
    workdir: Path
    step: int = 0
    """optimizer steps done when it is told of: above 0 for a resumed run"""


class Tracker(Protocol):
    """An open connection to a tracker, used by one thread.

    All methods may take long and may raise; then the tracker is closed and another
    one opened, which gets the same again.
    """

    def send(self, rows: Sequence[Row]) -> None:
        """Pass on ``rows``; when it returns they have arrived."""

    def end(self, ending: Ending) -> None:
        """Tell how the run ended."""

    def close(self) -> None:
        """Let go of whatever is held."""


Opener = Callable[[], Tracker]
"""Opens a tracker, again and again if need be, for the same run."""
