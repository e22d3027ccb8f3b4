"""Lets training loops take turns: each in a process of its own, the others waiting.

A loop calls ``Turns`` after each of its steps. When a turn is over, the call returns
only when the next one begins, so that all loops meet the same machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO


class OverError(Exception):
    """Nobody wants another turn; ends a training loop."""


class Turns:
    """In the process of a loop: counts its steps, waits, and reports each turn."""

    def __init__(self, warm_up: int) -> None:
        # What a loop prints goes to the log; this channel is for figures alone.
        self._out: TextIO = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._left = warm_up
        self._begin()

    def _begin(self) -> None:
        self._steps = self._left
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __call__(self, loss: float | None = None) -> None:
        """A step is done; ``loss`` where it has just been logged. Raises OverError."""
        self._loss = loss if loss is not None else getattr(self, "_loss", None)
        self._left -= 1
        if self._left:
            return
        turn = {
            "steps": self._steps,
            "wall": time.perf_counter() - self._wall,
            "cpu": time.process_time() - self._cpu,
            "loss": self._loss,
        }
        self._out.write(json.dumps(turn) + "\n")
        self._out.flush()
        line = sys.stdin.readline().strip()
        if not line:
            raise OverError
        self._left = int(line)
        self._begin()


def be_a_loop(train: Callable[[Turns], object], threads: int, *, ours: bool) -> None:
    """Be the process of a loop: ``train`` until nobody wants another turn.

    ``ours``: what slangmod says to the libraries before they are loaded is said.
    """
    turns = Turns(warm_up=5)
    if ours:
        from slangmod.libraries import prepare

        prepare(os.environ)
    import torch

    torch.manual_seed(1)
    torch.set_num_threads(threads)
    with suppress(OverError):
        train(turns)


@dataclass
class Loop:
    """A training loop that waits in its process for its turn."""

    name: str
    process: subprocess.Popen[str]
    log: Path
    warm_up: dict[str, Any] = field(default_factory=dict)
    turns: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def start(
        cls, name: str, command: Sequence[str], more: Mapping[str, str], log: Path
    ) -> "Loop":
        """Start it with ``more`` in its environment; returns when it is warm."""
        with log.open("w", encoding="utf-8") as stream:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                env={**os.environ, **more},
            )
        loop = cls(name, process, log)
        loop.warm_up = loop._report()
        return loop

    def turn(self, steps: int) -> None:
        """Let it take ``steps`` steps."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        self.turns.append(self._report())

    def stop(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def _report(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            last = self.log.read_text("utf-8", "replace").strip().splitlines()[-12:]
            raise SystemExit(f"{self.name} has ended:\n" + "\n".join(last))
        report: dict[str, Any] = json.loads(line)
        return report


def arguments(about: str, result: Path, rows: Sequence[str]) -> argparse.ArgumentParser:
    """The command line of a comparison of ``rows`` that is written to ``result``."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=5, help="of a turn")
    parser.add_argument(
        "--measure", choices=("wall", "cpu"), help="cpu where there is one thread"
    )
    parser.add_argument("--passive", action="store_true", help="no loop waits spinning")
    parser.add_argument("--only", nargs="+", choices=rows, metavar="NAME")
    parser.add_argument("--out", type=Path, default=result)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--tokens", type=Path, help=argparse.SUPPRESS)
    return parser


def take_turns(
    rows: Sequence[str], given: argparse.Namespace, program: str, tokens: Path
) -> list[Loop]:
    """Start ``program`` for each of ``rows`` and let them go round in turns."""
    given.measure = given.measure or ("cpu" if given.threads == 1 else "wall")
    logs = tokens.parents[1] / "logs"
    logs.mkdir(exist_ok=True)
    more = {"OMP_NUM_THREADS": str(given.threads)}
    more |= {"OMP_WAIT_POLICY": "PASSIVE"} if given.passive else {}
    loops = []
    for row in rows:
        command = [sys.executable, program, "--row", row, "--tokens", str(tokens)]
        command += ["--threads", str(given.threads)]
        log = logs / f"{row.replace(' ', '-')}.log"
        loops.append(Loop.start(row, command, more, log))
        print(f"{row}: ready after {loops[-1].warm_up['wall']:.0f} s", flush=True)
    for number in range(given.rounds):
        for loop in loops if number % 2 else reversed(loops):
            loop.turn(given.steps)
    for loop in loops:
        loop.stop()
    return loops


def figures(loop: Loop, measure: str, tokens: int) -> dict[str, Any]:
    """Tokens a second, of each turn and in the middle; ``tokens`` in a step."""
    speeds = [turn["steps"] * tokens / turn[measure] for turn in loop.turns]
    return {
        "median": statistics.median(speeds),
        "best": max(speeds),
        "turns": speeds,
        "wall_seconds": [turn["wall"] for turn in loop.turns],
        "cpu_seconds": [turn["cpu"] for turn in loop.turns],
        "seconds_to_get_ready": loop.warm_up["wall"],
        "last_loss": loop.turns[-1]["loss"],
    }
