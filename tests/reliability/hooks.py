"""What a child of the fork server does to itself at an exact place.

A kill at a random instant seldom hits the place that a test is about. Each hook wraps
one function of the product, calls it, and changes nothing of what it does.
"""

import os
import signal
from collections.abc import Callable
from typing import Any

from slangmod.commands import measuring, session
from slangmod.commands.conduct import Conductor
from slangmod.commands.recording import Recording
from slangmod.commands.scribe import Scribe
from slangmod.training import compiling
from slangmod.training.events import StepDone
from slangmod.training.trainer import Trainer


def signal_after_step(number: int) -> None:
    """SIGTERM to itself when so many optimizer steps are done."""
    taken = Trainer.take_step

    def take_step(self: Trainer, state: Any, *others: Any) -> None:
        taken(self, state, *others)
        if state.counters.step == number:
            os.kill(os.getpid(), signal.SIGTERM)

    Trainer.take_step = take_step


def kill_within_batch(number: int) -> None:
    """SIGKILL within mini-batch ``number``, counted from 0: its gradient is lacking."""
    seed = session.seed_batch

    def seed_batch(chance: int, place: int, rank: int) -> None:
        seed(chance, place, rank)
        if place == number:
            os.kill(os.getpid(), signal.SIGKILL)

    session.seed_batch = seed_batch


def kill_after_row(number: int) -> None:
    """SIGKILL when the row of mini-batch ``number`` is written."""
    told = Recording.__call__

    def tell(self: Recording, event: Any) -> None:
        told(self, event)
        if isinstance(event, StepDone) and event.batch == number:
            os.kill(os.getpid(), signal.SIGKILL)

    Recording.__call__ = tell


def kill_before_save(_: int) -> None:
    """SIGKILL where the first checkpoint would be written."""

    def save(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    Conductor.save = save


def kill_before_summary(_: int) -> None:
    """SIGKILL when all is done but the summary."""

    def summarize(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    Scribe.summarize = summarize


def measure_each_step(_: int) -> None:
    """A row of memory.csv and of speed.csv for each step."""
    measuring.BETWEEN_ROWS = 0.0


def kill_after_row_measuring(number: int) -> None:
    """Both: rows of memory.csv, and a kill after a row of steps.csv."""
    measure_each_step(0)
    kill_after_row(number)


def compile_all(number: int) -> None:
    """Compile however short the training; SIGTERM after a step, unless it is 0."""
    from slangmod.commands import stepping

    assert compiling.PAYS_AFTER == stepping.PAYS_AFTER
    stepping.PAYS_AFTER = 0.0
    if number:
        signal_after_step(number)


HOOKS: dict[str, Callable[[int], None]] = {
    "signal after step": signal_after_step,
    "kill within batch": kill_within_batch,
    "kill after row": kill_after_row,
    "kill before save": kill_before_save,
    "kill before summary": kill_before_summary,
    "measure": measure_each_step,
    "kill after row, measuring": kill_after_row_measuring,
    "compile": compile_all,
}
