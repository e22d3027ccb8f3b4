"""What one process of several does to itself, or has happen to it."""

import errno
import logging
import os
import signal
import time
from typing import Any

from slangmod.commands import session, stepping, train
from slangmod.runs.directory import RunDir
from slangmod.training import sharded
from slangmod.training.trainer import Trainer


def before_step(number: int, act: Any) -> None:
    """Let ``act()`` happen before optimizer step ``number``, counted from 1."""
    taken = Trainer.take_step

    def take_step(self: Trainer, state: Any, *others: Any) -> None:
        if state.counters.step == number - 1:
            act()
        taken(self, state, *others)

    Trainer.take_step = take_step


def term_at(number: int) -> None:
    """SIGTERM before a step."""
    before_step(number, lambda: os.kill(os.getpid(), signal.SIGTERM))


def interrupt_twice_at(number: int) -> None:
    """SIGINT before a step, and once more, as torchrun passes on the terminal's."""

    def act() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    before_step(number, act)


def kill_at(number: int) -> None:
    """SIGKILL before a step."""
    before_step(number, lambda: os.kill(os.getpid(), signal.SIGKILL))


def kill_later(number: int) -> None:
    """SIGKILL before so many steps are taken, of whatever runs."""
    taken, left = Trainer.take_step, number

    def take_step(self: Trainer, *others: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        taken(self, *others)

    Trainer.take_step = take_step


def hang_at(number: int) -> None:
    """Nothing more before a step."""
    before_step(number, lambda: time.sleep(600))


def fail_at(number: int) -> None:
    """An error that others know nothing of."""

    def act() -> None:
        raise OSError(5, "Input/output error", "/mnt/corpus")

    before_step(number, act)


def warn_at(number: int) -> None:
    """A warning that others know nothing of."""
    before_step(number, lambda: logging.getLogger("slangmod").warning("how odd"))


def fewer_rows(rows: int) -> None:
    """As if no more rows than these fitted into the memory here."""
    train.rows_at_once = lambda *_: rows


def spoil(position: int, factor: float) -> None:
    """Multiply the loss of this process in mini-batch ``position`` of the run."""
    now, seed, build = -1, session.seed_batch, session.build_objective

    def seed_batch(chance: int, place: int, rank: int) -> None:
        nonlocal now
        now = place
        seed(chance, place, rank)

    def build_objective(*known: Any) -> Any:
        objective = build(*known)

        def spoilt(inputs: Any, targets: Any) -> Any:
            loss = objective(inputs, targets)
            return loss * factor if now == position else loss

        return spoilt

    session.seed_batch, session.build_objective = seed_batch, build_objective


def at_rank(rank: int, what: str) -> str:
    """The lines that do ``what``, such as ``kill_at(3)``, in one of several."""
    return (
        "import os\n"
        f"if os.environ['RANK'] == '{rank}':\n"
        "    from tests.parallel import mishaps\n"
        f"    mishaps.{what}\n"
    )


def in_part_of(step: int, act: Any, times: int) -> None:
    """Let ``act(path)`` happen, so often, before a file of own rows is written."""
    write, left = sharded.write_file, times

    def write_file(path: Any, content: Any) -> Any:
        nonlocal left
        if left and path.parent.name.endswith(f"step-{step:09d}"):
            left -= 1
            act(path)
        return write(path, content)

    sharded.write_file = write_file


def no_room_for(step: int, times: int) -> None:
    """A disk that is full for this process, so many times, at a checkpoint."""

    def act(path: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    in_part_of(step, act, times)


def kill_in_part_of(step: int) -> None:
    """SIGKILL while the rows of a checkpoint are written."""
    in_part_of(step, lambda _: os.kill(os.getpid(), signal.SIGKILL), 1)


def cannot_compile() -> None:
    """As if there were no compiler here."""
    stepping.compiled_or_eager = lambda objective, *_: (objective, False)


def no_place_for(step: int) -> None:
    """A disk on which the folder of a checkpoint cannot be made."""
    make = sharded.folder_aside

    def folder_aside(path: Any, **more: Any) -> Any:
        if path.name == f"step-{step:09d}":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return make(path, **more)

    sharded.folder_aside = folder_aside


def move_late() -> None:
    """Let others go on while an old run still has its name."""
    vacated = RunDir.vacated

    def slowly(self: RunDir) -> Any:
        time.sleep(2)
        return vacated(self)

    RunDir.vacated = slowly
