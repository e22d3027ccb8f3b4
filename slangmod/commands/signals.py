"""Signals while training: finish the step, save, and say with what code to exit."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Final, Self

from slangmod.errors import StoppedError

STOPPING: Final = {
    name: getattr(signal, name)
    for name in ("SIGTERM", "SIGUSR1", "SIGHUP", "SIGINT")
    if hasattr(signal, name)
}

SAVED_CODE: Final = 75
"""EX_TEMPFAIL: stopped with a checkpoint saved, ``resume`` continues."""


class _TooEarlyError(BaseException):
    """A signal before there is anything to save; nothing may catch it on the way."""


class Signals:
    """Turns signals into a request to stop, once there is a checkpoint to go back to.

    Before ``arm`` a signal ends the program at once, leaving nothing behind. After
    it, ``requested`` is true from the first signal on; a second Ctrl-C interrupts
    whatever is under way. A hang-up of the terminal counts as a request to stop;
    a broken pipe does not end training.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._armed = False
        self.received: int | None = None

    def __enter__(self) -> Self:
        """Take over the signals; only a program's main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING.values():
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back; one that came too early becomes its exit code."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if isinstance(error, _TooEarlyError) and self.received is not None:
            raise StoppedError(
                f"stopped by {self.name} before there was a checkpoint; "
                "nothing was written",
                128 + self.received,
            ) from None

    def arm(self) -> None:
        """From now on there is a checkpoint, and signals can wait for a step's end."""
        self._armed = True

    def requested(self) -> bool:
        """Whether to stop at the next border of a step."""
        return self.received is not None

    def stopped(self, where: str) -> StoppedError:
        """What to raise when the state has been saved, ``where`` says at which step."""
        code = 130 if self.received == signal.SIGINT else SAVED_CODE
        return StoppedError(
            f"stopped by {self.name} with a checkpoint at {where}; "
            "`slangmod resume` continues",
            code,
        )

    @property
    def name(self) -> str:
        """Name of the signal that came."""
        return signal.Signals(self.received or 0).name

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        again = self.received is not None
        self.received = self.received or number
        if not self._armed:
            raise _TooEarlyError
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
