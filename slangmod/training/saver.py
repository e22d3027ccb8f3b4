"""Saves a run as it goes: at once or behind its back, and again where a disk refuses.

What is best so far must be there when training ends, and what is gone back to where the
loss spikes. So such a checkpoint that could not be written is held in memory, and
written before any that is newer: whatever checkpoint is on disk, those that it needs
are there, too.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from slangmod.complaints import Complaints
from slangmod.errors import RunError
from slangmod.files import bring_back, sweep_asides
from slangmod.parallel.team import ALONE, Team
from slangmod.training.checkpoint import (
    abandon_after,
    checkpoint_path,
    prune_checkpoints,
    write_checkpoint,
)
from slangmod.training.disk import amount, room_at, trouble
from slangmod.training.snapshot import Snapshot, take
from slangmod.training.state import TrainState

LOG = logging.getLogger(__name__)

BETWEEN_TRIES = 60.0
"""Seconds from a checkpoint that could not be written to the next try."""


def nothing(_: TrainState) -> tuple[int, ...]:
    """No checkpoint besides those that always stay."""
    return ()


class Saver:
    """Writes the checkpoints of a run into ``folder``, of which it is the only writer.

    ``about`` goes into each; ``sync`` makes durable what has been recorded before one
    that counts it, and returns what keeps it from that. Besides the newest ``keep``
    and the best, that of step ``spared`` is never removed, nor those of the steps that
    ``needed`` or ``pinned`` name as long as they do; what is ``needed`` is held in
    memory where it cannot be written. In the background, a thread writes a copy, one at
    a time. What goes wrong there is told at the next border of a step. ``stop`` ends
    the run where one cannot be written, by RunError. ``team``: who else has a part in
    the run; see ``SharedSaver``.
    """

    def __init__(
        self,
        folder: Path,
        about: Mapping[str, Any],
        *,
        keep: int,
        sync: Callable[[], OSError | None],
        background: bool = False,
        stop: bool = False,
        spared: int | None = None,
        needed: Callable[[TrainState], Collection[int]] = nothing,
        pinned: Callable[[], Collection[int]] = tuple,
        clock: Callable[[], float] = time.monotonic,
        complaints: Complaints | None = None,
        team: Team = ALONE,
    ) -> None:
        self.folder = folder
        self._about, self._keep, self._spared = about, keep, spared
        self._background, self._stop = background, stop
        self._needed = needed
        self._pinned = pinned
        self._stay: frozenset[int] = frozenset()
        self._sync, self._clock = sync, clock
        self._begun = spared is not None
        self._room_told = False
        self._owed: dict[int, Snapshot] = {}  # by step
        self._thread: threading.Thread | None = None
        self._under_way: Snapshot | None = None
        self._error: Exception | None = None
        self._kept: OSError | None = None  # why something could not be removed
        self._again: float | None = None  # when a failed one is tried again
        self._complain = complaints or Complaints(clock)
        self._team = team

    def save(self, state: TrainState) -> None:
        """Write the state as it is now, or begin to.

        The first of a run is there when this returns: RunError if it cannot be. One
        that follows on a failure is not written in the background.
        """
        self.wait()
        snapshot = take(state, self._about)
        self._stay = frozenset({state.patience.best_step, *self._needed(state)})
        self._look_at_room(snapshot)
        # Of others there is a better one, or a newer, or they were taken back.
        self._owed = {n: one for n, one in self._owed.items() if n in self._stay}
        if error := self._synced():
            self._heed(snapshot, error)
        elif self._background and self._begun and self._again is None:
            self._launch(snapshot.copied())
        else:
            self._attempt(snapshot)
            self._conclude(snapshot)

    def due_again(self) -> bool:
        """Whether it is time to try again; asked at each border of a step."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()
        return self._again is not None and self._clock() >= self._again

    def wait(self) -> None:
        """Wait until what was begun is on disk, or could not be, which is told now."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._under_way is not None:
            snapshot, self._under_way = self._under_way, None
            self._conclude(snapshot)

    @property
    def in_debt(self) -> bool:
        """Whether the last checkpoint could not be written so far."""
        return self._again is not None

    def abandon_after(self, step: int) -> None:
        """Remove the checkpoints of later steps, be they written or still owed."""
        self.wait()
        self._owed = {n: one for n, one in self._owed.items() if n <= step}
        abandon_after(self.folder, step)

    def settle(self) -> None:
        """Have on disk all that is held in memory; OSError if it cannot be.

        What a disk refused to replace has its name again.
        """
        self.wait()
        self._bring_back()
        if not self._owed:
            return
        if refused := self._synced():
            raise refused
        self._write_owed()

    def insist(self, state: TrainState) -> None:
        """Have the last state on disk, training being over; OSError if it cannot be."""
        self.wait()
        if self._again is None:
            return
        if refused := self._synced():
            raise refused
        self._attempt(take(state, self._about))
        error, self._error = self._error, None
        if error is not None:
            raise error
        self._again = None

    def __enter__(self) -> Self:
        """Use as a context, which leaves no thread behind."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let what was begun come to its end, unless the program quits at once."""
        quits = error is not None and not isinstance(error, Exception)
        if self._thread is not None and not quits:
            self._thread.join()

    def _launch(self, snapshot: Snapshot) -> None:
        """Write ``snapshot``, which nobody changes, in the background."""
        self._under_way = snapshot
        self._thread = threading.Thread(
            target=self._attempt, args=(snapshot,), name="checkpoint", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError:  # no more threads just now
            self._thread = None
            self._attempt(snapshot)

    def _attempt(self, snapshot: Snapshot) -> None:
        """Write what is owed, then ``snapshot``; remove what nobody needs then.

        Errors are kept for the thread that trains.
        """
        try:
            sweep_asides(self.folder)
            self._write_owed()
            self._write(snapshot)
        except Exception as error:  # whatever it is, it must not end with a thread
            self._error = error
            return
        self._prune(snapshot.step)

    def _bring_back(self) -> None:
        bring_back(self.folder)

    def _write(self, snapshot: Snapshot) -> None:
        write_checkpoint(self.folder, snapshot)

    def _write_owed(self) -> None:
        """Write what is held in memory, the oldest first."""
        for step in sorted(self._owed):
            self._write(self._owed[step])
            del self._owed[step]

    def _prune(self, step: int) -> None:
        """Remove what nobody needs now that ``step`` is there.

        What keeps it from that is kept.
        """
        try:
            stay = {*self._stay, *self._pinned(), self._spared}
            prune_checkpoints(self.folder, self._keep, stay, step)
        except OSError as error:
            self._kept = error

    def _conclude(self, snapshot: Snapshot) -> None:
        """Take note of how an attempt ended."""
        error, self._error = self._error, None
        kept, self._kept = self._kept, None
        if isinstance(error, OSError):
            self._heed(snapshot, error)
        elif error is not None:
            raise error
        elif self._again is not None:
            self._again = None
            LOG.info("%s: checkpoints are written again", self.folder)
        self._begun = True
        if kept is not None:
            why = trouble(self.folder, kept)
            self._warn(str(self.folder), f"{why}; it should be removed")

    def _heed(self, snapshot: Snapshot, error: OSError) -> None:
        """Warn, and see to it that what will be needed is not lost; or end the run."""
        path = checkpoint_path(self.folder, snapshot.step)
        why = trouble(path, error, snapshot.size)
        if not self._begun:
            raise RunError(f"{why}; nothing has been trained yet") from error
        if self._stop:
            raise RunError(
                f"{why}; checkpoint.on_error = 'stop' ends the run; make room, or mend "
                "what is wrong, then `slangmod resume` goes on from the last one"
            ) from error
        if snapshot.step in self._stay:
            self._owed[snapshot.step] = snapshot.copied()
        self._again = self._clock() + BETWEEN_TRIES
        self._warn(
            str(path),
            f"{why}; no checkpoint this time: training goes on, and it is tried again",
        )

    def _synced(self) -> OSError | None:
        """What keeps that from being durable which has been recorded, if anything."""
        return self._sync()

    def _warn(self, place: str, why: str) -> None:
        self._complain(place, why)

    def _look_at_room(self, snapshot: Snapshot) -> None:
        """Warn once, at the start, if the disk has no room for two checkpoints."""
        if self._room_told:
            return
        self._room_told = True
        free, wanted = room_at(self.folder), 2 * snapshot.size
        if free is not None and snapshot.size <= free < wanted:
            LOG.warning(
                "%s: a checkpoint is %s, and only %s are free; an old one is removed "
                "after the new one is there, so make room for two",
                self.folder,
                amount(snapshot.size),
                amount(free),
            )
