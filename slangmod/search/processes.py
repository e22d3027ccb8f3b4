"""A command in a process of its own: started, watched, asked to end."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from slangmod.parallel.crew import without_place
from slangmod.search.leash import LEASH

TAIL = 16_384
"""Bytes of what a process said last that are kept."""

OWN_VARIABLES = "SLM_"
"""What variables begin with that are settings; those of a trial are in its file."""


class Process:
    """A command that is under way, and ends with us.

    It has no terminal: neither its Ctrl-C nor its hanging up reaches it.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        inherited = {
            name: text
            for name, text in without_place(environment).items()
            if not name.startswith(OWN_VARIABLES)
        }
        self._errors = b""
        self._process = subprocess.Popen(
            [*command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**inherited, LEASH: "1"},
            start_new_session=True,
        )
        assert self._process.stderr is not None  # a pipe was asked for
        self._pipe = self._process.stderr
        os.set_blocking(self._pipe.fileno(), False)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def poll(self) -> int | None:
        """Exit code, negative for a signal that killed it; None while it lives."""
        code = self._process.poll()
        while part := self._pipe.read(TAIL) if not self._pipe.closed else b"":
            self._errors = (self._errors + part)[-TAIL:]
        if code is not None:
            self._pipe.close()
            if self._process.stdin is not None:
                self._process.stdin.close()
        return code

    def stop(self) -> None:
        """Ask it to save its state and end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def last_words(self) -> str:
        """The last line that it wrote to standard error, without its own name."""
        lines = self._errors.decode("utf-8", "replace").strip().splitlines()
        own = "slangmod: error: "
        errors = [line for line in lines if line.startswith(own)]
        return (errors or lines or [""])[-1].removeprefix(own).strip()


def ending(code: int) -> str:
    """How a process ended that said nothing of it."""
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = ", perhaps for want of memory" if -code == signal.SIGKILL else ""
    return f"killed by {name}{hint}"
