"""Lines that outlive a full disk."""

from collections.abc import Callable
from pathlib import Path

from slangmod.complaints import Complaints
from slangmod.growing import Growing


class Lines:
    """A text file that grows by whole lines; trouble with it never raises.

    It is told to ``complaints``, which whatever writes to the same disk may share.
    """

    def __init__(self, path: Path, complaints: Complaints | None = None) -> None:
        self.path = path
        self._file = Growing(path)
        self._alone = complaints is None
        self._complain = complaints or Complaints()

    def add(self, line: str) -> None:
        """Append ``line`` and a line feed; the system has it on return."""
        self._heed(self._file.add((line + "\n").encode("utf-8", "backslashreplace")))

    def sync(self) -> OSError | None:
        """Make every line durable; -> what keeps the disk from it, if anything."""
        error = self._file.sync()
        self._heed(error)
        return error

    def renew(self, head: str = "") -> OSError | None:
        """Begin the file again, with ``head``, where it was removed meanwhile.

        -> what keeps the disk from saying so, if anything.
        """
        try:
            if self._file.gone:
                self._file.begin_again(head.encode("utf-8"))
        except OSError as error:
            self._heed(error)
            return error
        return None

    def cut(self, is_kept: Callable[[bytes], bool], longest: int) -> None:
        """Drop all behind the last line that ``is_kept``, also of those that wait.

        ``longest``: bytes of a line. Raises OSError where the disk refuses.
        """
        self._file.cut(is_kept, longest)

    def close(self) -> None:
        """Let go of the file; what was lost is for who made ``complaints`` to tell."""
        error = self._file.close()
        if error is not None:
            reason = f"its last lines ({error.strerror})"
            self._complain.lose(str(self.path), reason)
        elif self._file.lost:
            self._complain.lose(str(self.path), f"{self._file.lost} bytes")
        if self._alone:
            self._complain.tell_lost()

    def _heed(self, error: OSError | None) -> None:
        if error is not None:
            self._complain(
                str(self.path),
                f"{self.path}: cannot be written now: {error.strerror}; its lines wait "
                "in memory, training goes on",
            )
