"""The saver of a run whose weights are spread over several processes."""

import threading

from slangmod.files import bring_back
from slangmod.training.checkpoint import abandon_after, step_of
from slangmod.training.saver import Saver
from slangmod.training.sharded import Together, agreed, write_together
from slangmod.training.snapshot import Snapshot


class SharedSaver(Saver):
    """One in each process, all of which save, try again, and fail together.

    What one of them cannot write, none has written. The leader alone warns, removes
    old checkpoints, and syncs what was recorded. In the background each process writes
    its own files; the folder takes its place at the first border of a step, or the
    next checkpoint, at which all of them are done.
    """

    _writing: Together | None = None

    def due_again(self) -> bool:
        """As that of one process; the same answer for all, who all ask."""
        if self._writing is not None and not self._team.any(self._busy()):
            self.wait()
        if self._again is None:
            return False
        return self._team.any(self._team.leads and self._clock() >= self._again)

    def wait(self) -> None:
        """As that of one process."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._writing is not None:
            writing, self._writing = self._writing, None
            self._end(writing)
        super().wait()

    def abandon_after(self, step: int) -> None:
        """As that of one process; the leader removes."""
        self.wait()
        self._owed = {n: one for n, one in self._owed.items() if n <= step}

        def remove() -> str:
            abandon_after(self.folder, step)
            return ""

        agreed(self._team, remove)

    def _busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _synced(self) -> OSError | None:
        """What keeps the leader's records from being durable, if anything."""

        def sync() -> str:
            if error := self._sync():
                raise error
            return ""

        try:
            agreed(self._team, sync)
        except OSError as error:
            return error
        return None

    def _launch(self, snapshot: Snapshot) -> None:
        """Make the folder aside, and let a thread write the own files."""
        self._under_way = snapshot
        writing = Together(self.folder, snapshot, self._team)
        try:
            writing.begin()
        except OSError as error:  # of which all know already
            self._error, self._under_way = error, None
            self._conclude(snapshot)
            return
        self._writing = writing
        if writing.there:
            return
        self._thread = threading.Thread(
            target=writing.write, name="checkpoint", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError:  # no more threads just now
            self._thread = None
            writing.write()

    def _attempt(self, snapshot: Snapshot) -> None:
        """Write what is owed, then ``snapshot``, at once."""
        try:
            self._write_owed()
            self._write(snapshot)
        except Exception as error:  # which is heeded as that of one process is
            self._error = error
            return
        self._prune(snapshot.step)

    def _bring_back(self) -> None:
        def rename() -> str:
            bring_back(self.folder)
            return ""

        agreed(self._team, rename)

    def _write(self, snapshot: Snapshot) -> None:
        write_together(self.folder, snapshot, self._team)

    def _end(self, writing: Together) -> None:
        """Let what the threads wrote take its place."""
        try:
            writing.end()
        except Exception as error:
            self._error = error
            return
        self._prune(step_of(writing.path))

    def _prune(self, step: int) -> None:
        if self._team.leads:
            super()._prune(step)

    def _warn(self, place: str, why: str) -> None:
        if self._team.leads:
            super()._warn(place, why)

    def _look_at_room(self, snapshot: Snapshot) -> None:
        if self._team.leads:
            super()._look_at_room(snapshot)
