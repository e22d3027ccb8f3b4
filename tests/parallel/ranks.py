"""Processes that were started together, as torchrun does, but forked: torch is loaded.

Each has the variables that torchrun sets, a session of its own, and a file for what it
says. ``python -m tests.parallel.ranks`` is the server that forks them.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist

from tests.reliability.forks import ENVIRONMENT, end

ROOT = Path(__file__).parents[2]
SHARED = ("torch._dynamo", "safetensors.torch", "slangmod.commands.train")
"""What is slow to load, and starts no thread that a fork would lack."""

COMMAND = "tests.parallel.ranks:command"
PATIENCE = 60.0
"""Seconds after which processes that have not ended are killed, and the test fails."""


@dataclass(frozen=True)
class Ended:
    """How the processes ended, by rank: exit code (negative: the signal), and words."""

    codes: list[int]
    told: list[str]
    """what each wrote to standard error"""
    printed: list[str]
    """what each wrote to standard output"""

    @property
    def errors(self) -> str:
        """What all of them wrote."""
        pairs = enumerate(zip(self.codes, self.told, strict=True))
        return "\n".join(f"rank {rank}: {code}\n{text}" for rank, (code, text) in pairs)


def environment_of(rank: int, size: int, port: int, **more: object) -> dict[str, str]:
    """What torchrun tells process ``rank`` of ``size`` on one machine."""
    known = {
        "RANK": rank,
        "WORLD_SIZE": size,
        "LOCAL_RANK": rank,
        "LOCAL_WORLD_SIZE": size,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "TORCHELASTIC_RUN_ID": "none",
        "TORCHELASTIC_RESTART_COUNT": 0,
        "TORCHELASTIC_USE_AGENT_STORE": True,
        **more,
    }
    return {name: str(value) for name, value in known.items()}


def new_store() -> dist.TCPStore:
    """What torchrun keeps for its processes, on a port that nobody listens on."""
    return dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def nothing(pids: list[int]) -> None:
    """Nothing is done to the processes."""


class Ranks:
    """A server that forks groups of processes; one group after the other."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
            text=True,
        )

    def close(self) -> None:
        """End the server."""
        end(self._server)

    def call(
        self,
        size: int,
        folder: Path,
        function: str,
        *arguments: Any,
        disturb: Callable[[list[int]], None] = nothing,
        environment: Mapping[str, object] = {},
        before: str = "",
        store: dist.TCPStore | None = None,
    ) -> Ended:
        """``function``, as ``module:name``, in ``size`` processes, in ``folder``.

        ``disturb`` is given their numbers; ``before`` is Python that each runs first;
        ``store`` is that of an earlier call, of which this is a restart.
        """
        store = store or new_store()
        port = store.port
        said = [folder / f"rank-{rank}.txt" for rank in range(size)]
        order = {
            "function": function,
            "arguments": arguments,
            "folder": str(folder),
            "before": before,
            "processes": [
                [environment_of(rank, size, port, **environment), str(said[rank])]
                for rank in range(size)
            ],
        }
        assert self._server.stdin
        assert self._server.stdout
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        disturb(json.loads(self._server.stdout.readline()))
        codes = json.loads(self._server.stdout.readline())
        told, printed = (
            [path.with_suffix(kind).read_text("utf-8") for path in said]
            for kind in (".txt", ".out")
        )
        return Ended(codes, told, printed)

    def command(self, size: int, folder: Path, *argv: str, **more: Any) -> Ended:
        """``slangmod ARGV`` in ``size`` processes."""
        return self.call(size, folder, COMMAND, *argv, **more)

    def done(self, size: int, folder: Path, *argv: str, **more: Any) -> Ended:
        """A command that must succeed."""
        ended = self.command(size, folder, *argv, **more)
        assert ended.codes == [0] * size, ended.errors
        return ended


def command(*argv: str) -> None:
    """The command line, as who types it starts it."""
    from slangmod.cli import entry_point

    sys.argv = ["slangmod", *argv]
    entry_point()


def serve() -> None:
    """Fork a group for each line; tell their numbers, then how they ended."""
    for module in SHARED:
        importlib.import_module(module)
    for line in sys.stdin:
        order = json.loads(line)
        pids = [fork(order, *process) for process in order["processes"]]
        answer(pids)
        answer(wait_for(pids))


def wait_for(pids: Sequence[int]) -> list[int]:
    """Their exit codes; who has not ended in time is killed."""
    codes, deadline = dict[int, int](), time.monotonic() + PATIENCE
    while len(codes) < len(pids):
        for pid in pids:
            if pid in codes:
                continue
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                codes[pid] = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    return [codes[pid] for pid in pids]


def answer(what: object) -> None:
    """Tell who has sent the order."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def fork(order: dict[str, Any], environment: dict[str, str], said: str) -> int:
    """One process of a group; -> its number."""
    pid = os.fork()
    if pid == 0:
        become(order, environment, said)
    return pid


def become(order: dict[str, Any], environment: dict[str, str], said: str) -> None:
    """Be the process that ``order`` describes."""
    code = 1
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        errors = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        mode = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        printed = os.open(said.replace(".txt", ".out"), mode, 0o644)
        for number, descriptor in ((0, nowhere), (1, printed), (2, errors)):
            os.dup2(descriptor, number)
        os.chdir(order["folder"])
        os.environ.update(environment)
        exec(order["before"], {})
        module, _, name = order["function"].partition(":")
        getattr(importlib.import_module(module), name)(*order["arguments"])
        code = 0
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
