"""Notices from outside of a process that Python itself stands still in it.

What calls a library that never returns, and never lets go of the interpreter, stops all
threads of Python. So another process, which this file is, too, hears now and then that
they run. Where it does not any more, it has a handler of faulthandler's, which needs no
interpreter, tell where the program stands. It is asked then only: telling that of a
program that runs can make it crash. A process that is stopped does not hang.

As a script it has to start fast, and so begins with the standard library only.
"""

import faulthandler
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

LOG = logging.getLogger(__name__)

ASKS: Final = getattr(signal, "SIGRTMAX", signal.SIGUSR2)
"""The signal that asks a process where it stands."""

LOOKS, LONGEST_PAUSE = 20, 5.0
"""How often it is looked while a limit passes; seconds between looks, at most."""

SECONDS_TO_ANSWER: Final = 1.0
"""How long no more has come when all is told of where the program stands."""

SECONDS_TO_TELL: Final = 10.0
"""How long writing it down may take: a disk may be what hangs."""

MOST: Final = 65536
"""Bytes that a pipe holds."""


class Lookout:
    """A process that looks whether this one still runs Python; none until ``begin``."""

    def __init__(self) -> None:
        self._other: subprocess.Popen[bytes] | None = None
        self._pipe = -1

    def begin(self) -> None:
        """Start the process; where that cannot be, it is said, and nobody looks."""
        reader, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)  # who reads may have been stopped
        try:
            self._other = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__],
                stdin=reader,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is not meant for it
            )
            faulthandler.register(ASKS, file=self._pipe)
        except OSError as error:
            os.close(self._pipe)
            LOG.warning(
                "no process can be started (%s): nobody notices a library that hangs "
                "and does not let go of Python",
                error.strerror,
            )
        finally:
            os.close(reader)

    def put_off(self, seconds: float, file: Path, message: str, *, ends: bool) -> None:
        """Python runs; if not again for ``seconds``, ``message`` is to be told.

        And written to ``file`` with where the program stands; ``ends``: the process is
        ended then. A terminal may be shown the ``message``.
        """
        if self._other is None:
            return
        about = {"file": str(file), "message": message}
        line = json.dumps({"seconds": seconds, "ends": ends, **about})
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._pipe, line.encode() + b"\n")

    def end(self) -> None:
        """Look no longer."""
        if self._other is None:
            return
        self._other.kill()
        self._other.wait()
        self._other = None
        faulthandler.unregister(ASKS)
        os.close(self._pipe)


def watch(pipe: int, watched: int) -> None:
    """Act where the process ``watched`` is not heard of any more, until it ends."""
    about: dict[str, Any] = {}
    pause, quiet, told = LONGEST_PAUSE, 0.0, True
    while True:
        if select.select([pipe], [], [], pause)[0]:
            heard = os.read(pipe, MOST)
            if not heard:
                return
            with suppress(ValueError):  # of a line that did not fit in
                about = json.loads(heard.splitlines()[-1])
            pause = min(about["seconds"] / LOOKS, LONGEST_PAUSE)
            quiet, told = 0.0, False
        elif not told and not is_stopped(watched):
            quiet += pause
            if quiet > about["seconds"]:
                told = True
                act(about, stacks_of(watched, pipe), watched)


def is_stopped(process: int) -> bool:
    """Whether a process has been stopped, by a signal or a debugger."""
    with suppress(OSError):
        told = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
        return told.rpartition(")")[2].split()[0] in "Tt"
    with suppress(OSError):  # macOS has no /proc
        state = subprocess.check_output(["ps", "-o", "state=", "-p", str(process)])
        return state.startswith(b"T")
    return False


def stacks_of(process: int, pipe: int) -> str:
    """Where a process stands that answers through ``pipe``."""
    os.kill(process, ASKS)
    answer = b""
    while select.select([pipe], [], [], SECONDS_TO_ANSWER)[0]:
        more = os.read(pipe, MOST)
        if not more:
            break
        answer += more
    return answer.decode("ascii", "replace")


def act(about: dict[str, Any], stacks: str, watched: int) -> None:
    """Tell what ``about`` says, with the ``stacks``, and end the process if need be."""
    content = "\n".join([about["message"], "", stacks])
    # Each by itself: a terminal or the disk may be what hangs.
    tasks = [
        threading.Thread(target=write, args=(about["file"], content), daemon=True),
        threading.Thread(target=say, args=(about["message"],), daemon=True),
    ]
    for task in tasks:
        task.start()
    deadline = time.monotonic() + SECONDS_TO_TELL
    for task in tasks:
        task.join(max(0.0, deadline - time.monotonic()))
    if about["ends"] and os.getppid() == watched:
        os.kill(watched, signal.SIGKILL)  # it heeds nothing else


def write(file: str, content: str) -> None:
    """Write the file; a disk that refuses does not matter here."""
    from slangmod.files import write_text  # seldom needed, and this starts fast

    with suppress(OSError):
        write_text(Path(file), content)


def say(message: str) -> None:
    """One line to standard error, as the command line says what went wrong."""
    with suppress(OSError):
        os.write(2, f"slangmod: error: {message}\n".encode())


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[2]))
    with suppress(ProcessLookupError):
        watch(sys.stdin.fileno(), os.getppid())
