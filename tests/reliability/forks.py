"""The real command in processes that are forked from one in which torch is loaded.

Only the start of the interpreter is shared: each child is ``entry_point`` with an
``argv`` of its own, in a session of its own, and ends as the command does.
"""

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = {
    **{key: text for key, text in os.environ.items() if not key.startswith("SLM_")},
    "OMP_NUM_THREADS": "1",
    # Which numpy brings, and which starts its threads when it is loaded.
    "OPENBLAS_NUM_THREADS": "1",
}


SHARED = (
    "numpy.ctypeslib",
    "torch._dynamo",
    "safetensors.torch",
    "slangmod.commands.busy",
    "slangmod.commands.calls",
    "slangmod.commands.resume",
    "slangmod.commands.train",
    "slangmod.search.grammar",
    "tokenizers",
)
"""What is slow to load, and starts no thread that a fork would lack."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (negative: the signal), and its errors."""

    code: int
    errors: str


def leave_alone(pid: int) -> None:
    """Nothing is done to a process."""


def end(server: "subprocess.Popen[str]") -> None:
    """End a server that reads orders until there are no more."""
    assert server.stdin
    assert server.stdout
    server.stdin.close()
    server.wait()
    server.stdout.close()


class Forks:
    """A server that forks commands; one after the other."""

    def __init__(
        self,
        environment: Mapping[str, str] = ENVIRONMENT,
        errors: str = "errors.txt",
    ) -> None:
        self._errors = errors  # a file in the folder of each command
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment},
            text=True,
        )

    def close(self) -> None:
        """End the server."""
        end(self._server)

    def run(
        self,
        folder: Path,
        *argv: str,
        disturb: Callable[[int], None] = leave_alone,
        before: Sequence[str] = (),
    ) -> Ended:
        """The command ``argv`` in ``folder``; ``disturb`` is given its process.

        ``before`` are lines of Python that the child runs before it begins.
        """
        errors = folder / self._errors
        order = {
            "argv": argv,
            "folder": str(folder),
            "errors": str(errors),
            "before": "\n".join(before),
        }
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        disturb(int(self._server.stdout.readline()))
        code = int(self._server.stdout.readline())
        return Ended(code, errors.read_text("utf-8"))

    def done(self, folder: Path, *argv: str) -> Ended:
        """A command that must succeed."""
        ended = self.run(folder, *argv)
        assert ended.code == 0, ended.errors
        return ended


def serve() -> None:
    """Fork a child for each line, tell its number, then how it ended."""
    for module in SHARED:
        importlib.import_module(module)
    gc.freeze()  # or each child would copy all pages that its collector looks through
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            become(order)
        answer(child)
        _, status = os.waitpid(child, 0)
        answer(os.waitstatus_to_exitcode(status))


def answer(number: int) -> None:
    """Tell a number to who has sent the order."""
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def become(order: dict[str, str]) -> None:
    """Be the command that ``order`` describes."""
    from slangmod.cli import entry_point

    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        errors = os.open(order["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for number, descriptor in ((0, nothing), (1, nothing), (2, errors)):
            os.dup2(descriptor, number)
        os.chdir(order["folder"])
        sys.argv = ["slangmod", *order["argv"]]
        exec(order["before"], {})
        entry_point()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    serve()
