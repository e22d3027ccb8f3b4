"""Signals while training: finish the step, save, and say with what code to exit."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Final, NoReturn, Self

from slangmod.commands.interruption import (
    PATIENCE,
    SAVED_CODE,
    STOPPING,
    WATCHES,
    Watch,
    end_with,
    stopped_late,
)
from slangmod.commands.postponing import (
    BrokenOffError,
    Postponing,
    in_words,
    name_of,
)
from slangmod.errors import StoppedError

RESUME: Final = "`slangmod resume` continues from the last checkpoint"
"""The way on from what a second Ctrl-C breaks off."""


class Signals:
    """Turns signals into a request to stop, once there is something to save.

    Until ``arm``, and again from ``saved`` to the next ``arm``, a signal ends the
    program at once: nothing is lost by it. In between, ``requested`` is true from the
    first signal on, and a second Ctrl-C interrupts whatever is under way. A hang-up of
    the terminal counts as a request to stop; a broken pipe does not end training.
    ``patient``: a second Ctrl-C does nothing either, since torchrun passes on to its
    processes the one that the terminal has sent them already. ``way_on`` is said of
    what it breaks off.

    What does not let Python hear, a driver say, or does not let it tidy up, is left
    after ``PATIENCE`` seconds, and with it the process, if it is watched already as
    the command line is: nobody's own interpreter is ended.
    """

    def __init__(self, *, patient: bool = False, way_on: str = RESUME) -> None:
        self._patient = patient
        self._twice = f"broken off by a second Ctrl-C; {way_on}"
        self._before: dict[int, Any] = {}
        self._wakeup: int | None = None
        self._watch: Watch | None = None
        self._heard, self._over = threading.Event(), threading.Event()
        self._times = 0
        self._postponing = Postponing(PATIENCE)
        self._armed = False
        self._broken_off = False
        self._saved = ""
        self.received: int | None = None

    def __enter__(self) -> Self:
        """Take over the signals; only a program's main thread can."""
        if threading.current_thread() is threading.main_thread():
            self._wakeup = signal.set_wakeup_fd(-1)
            if self._wakeup in WATCHES:  # and expects what does not hold in training
                self._watch = Watch(self._expected, self._give_up, PATIENCE).__enter__()
            self._postponing.__enter__()
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
        """Give the signals back; one that was not heeded yet becomes its exit code."""
        self._over.set()
        if self._wakeup is not None:
            if self._wakeup in WATCHES:
                WATCHES[self._wakeup].all_done = error is None
            self._postponing.__exit__(kind, error, trace)
            for number, handler in self._before.items():
                signal.signal(number, handler)
            if self._watch is not None:
                self._watch.__exit__(kind, error, trace)
            signal.set_wakeup_fd(self._wakeup)
        if self.received is None:
            return
        if isinstance(error, KeyboardInterrupt):
            raise StoppedError(self._twice, 128 + signal.SIGINT) from None
        if error is None:
            raise stopped_late(self.received)
        if isinstance(error, BrokenOffError):
            if self._saved:
                raise self.stopped(self._saved) from None
            raise StoppedError(
                f"stopped by {self.name} before there was a checkpoint; "
                "nothing was written",
                128 + self.received,
            ) from None

    def arm(self) -> None:
        """From now on a signal waits for the end of a step."""
        self._armed = True
        if self.received is not None:  # and what it raised was swallowed on the way
            self._armed = False
            self._break_off(self.received)

    def saved(self, where: str) -> None:
        """All there is has been saved at ``where``: no signal need wait until ``arm``.

        One that does already ends the program now.
        """
        self._saved, self._armed = where, False
        if self.received is not None:
            self._break_off(self.received)

    def requested(self) -> bool:
        """Whether to stop at the next border of a step."""
        return self.received is not None

    def hear(self, number: int) -> None:
        """Stop for a signal that another process of the run has received."""
        self.received = self.received or number

    def stopped(self, where: str) -> StoppedError:
        """What to raise when the state has been saved, ``where`` says at which step."""
        return StoppedError(
            f"stopped by {self.name} with a checkpoint at {where}; "
            "`slangmod resume` continues",
            self.code,
        )

    @property
    def code(self) -> int:
        """With what a program exits that the signal ended, its state being saved."""
        return 130 if self.received == signal.SIGINT else SAVED_CODE

    @property
    def name(self) -> str:
        """Name of the signal that came."""
        return name_of(self.received or 0)

    def _expected(self, number: int) -> threading.Event | None:
        """What has to follow a signal soon, if anything."""
        self._times += number == signal.SIGINT
        if self._times > 1 and not self._patient:
            return self._over
        return None if self._armed else self._heard

    def _give_up(self, number: int) -> None:
        """End the process, which has not done what the signal asks for."""
        if self._armed:
            end_with(self._twice, 128 + signal.SIGINT)
        elif self._saved:
            self.hear(number)
            stop = self.stopped(self._saved)
            end_with(str(stop), stop.exit_code)
        else:
            end_with(in_words(number), 128 + number)

    def _break_off(self, number: int) -> NoReturn:
        self._postponing.withdraw()
        raise BrokenOffError(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._heard.set()
        again = self.received is not None
        self.received = self.received or number
        if not self._armed:
            if self._postponing.postponed(number, frame):
                return
            self._break_off(self.received)
        if self._patient or not again or number != signal.SIGINT:
            return
        if self._postponing.dropped:
            self._postponing.dropped = self._broken_off = False
        if not self._broken_off and not self._postponing.postponed(number, frame):
            # A third must not disturb who writes down that it was broken off.
            self._broken_off = True
            self._postponing.withdraw()
            raise KeyboardInterrupt
