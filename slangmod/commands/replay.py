"""``slangmod replay``: one optimizer step of a run once more, looked at closely.

Nothing is written: the state comes from the newest sound checkpoint before that step,
and goes through the steps between as the run did.
"""

import logging
import sys
from pathlib import Path
from typing import Any

import tomli_w

from slangmod.commands.call import Call
from slangmod.commands.changes import changes_of, choices_after
from slangmod.commands.choices import choices_of
from slangmod.commands.dissecting import dissect
from slangmod.commands.existing import open_existing
from slangmod.commands.going_on import session_from
from slangmod.commands.rewinding import good_checkpoint, load_anew
from slangmod.commands.session import (
    Session,
    build_trainer,
    next_session,
)
from slangmod.commands.stepping import next_step, step_again
from slangmod.data.shards import check_fresh
from slangmod.errors import DataError, UserError
from slangmod.runs.directory import RunDir
from slangmod.settings.sections import Settings
from slangmod.training.checkpoint import (
    list_checkpoints,
    problems_of,
    step_of,
)
from slangmod.training.device import choose_device, reproducible
from slangmod.training.evaluate import never
from slangmod.training.feed import Feed
from slangmod.training.guard import Guard, SpikeError
from slangmod.training.step import Objective
from slangmod.training.stored import read_about
from slangmod.training.trainer import Trainer

LOG = logging.getLogger(__name__)


def run(call: Call) -> None:
    """Print what a step saw and what came of it, as TOML."""
    folder, settings = open_existing(call)
    step = step_asked(call.flags.get("step"), folder)
    sys.stdout.write(tomli_w.dumps(replay(folder, settings, step)))


def step_asked(given: object, folder: RunDir) -> int:
    """The step to repeat: that ``given``, or the last of those that were not finite."""
    if given is None:
        bad = sorted(folder.bad_steps.glob("step-*.json"))
        if not bad:
            raise UserError(
                f"{folder.root}: no step was bad there; say which with --step N"
            )
        given = step_of(bad[-1].with_suffix(""))
    try:
        step = int(str(given))
    except ValueError:
        step = 0
    if step < 1:
        raise UserError(f"--step {given}: give the number of an optimizer step, from 1")
    return step


def replay(folder: RunDir, settings: Settings, step: int) -> dict[str, Any]:
    """Go to ``step`` as the run did, and take it apart; -> tables ready for TOML."""
    checkpoint = checkpoint_before(folder, step)
    about = read_about(checkpoint)
    encodings = check_fresh(settings)
    changes = changes_of(folder, about, settings, encodings)
    choices = choices_after(choices_of(about), settings, changes)
    device = choose_device(choices.device)
    with reproducible(choices.deterministic, choices.threads):
        session = session_from(checkpoint, settings, encodings, device, changes)
        done = session.state.counters.step
        LOG.info("from %s, %d steps on", checkpoint.name, step - 1 - done)
        objective = step_again(session, choices)
        session, objective = reach(folder, session, objective, step - 1, choices.rows)
        return {"checkpoint": checkpoint.name, **dissect(session, objective)}


def checkpoint_before(folder: RunDir, step: int) -> Path:
    """The newest sound checkpoint from before ``step``; DataError if none is left."""
    for path in list_checkpoints(folder.checkpoints):
        if step_of(path) < step and not problems_of(path):
            return path
    raise DataError(
        f"{folder.checkpoints}: no sound checkpoint from before step {step} is left; "
        f"what a bad step read stays in {folder.bad_steps.name}/"
    )


def reach(
    folder: RunDir,
    session: Session,
    objective: Objective,
    step: int,
    rows: int | None = None,
) -> tuple[Session, Objective]:
    """Take steps until ``step`` of them are done, as the run took them."""
    while True:
        before, trainer = session, quiet_trainer(session, objective, rows)
        try:
            take_steps(trainer, session, step)
        except SpikeError as found:
            spike = found.spike
            state = session.state
            path = good_checkpoint(folder.checkpoints, state.course, spike.step)
            session = load_anew(session, path)
            session.state.course.resume_batch = spike.batch
        else:
            if not trainer.stage_ended(session.state, session.train):
                return session, objective
            if session.leg is session.legs[-1]:
                done = session.state.counters.step
                raise UserError(f"--step {step + 1}: the run ends with step {done}")
            session = next_session(session)
        objective = next_step(before, session, objective, rows)


def take_steps(trainer: Trainer, session: Session, step: int) -> None:
    """Until ``step`` or the end of the stage; raises SpikeError as training does."""
    state, train = session.state, session.train
    guard = Guard(state, trainer.rules, session.device, trainer.tell)
    ledger = trainer.open_ledger(state, guard)
    state.model.train()
    with Feed(train, session.device) as feed:
        while state.counters.step < step and not trainer.stage_ended(state, train):
            trainer.take_step(state, train, feed, guard, ledger)
    ledger.flush()


def quiet_trainer(session: Session, objective: Objective, rows: int | None) -> Trainer:
    """A trainer that neither saves nor tells."""

    def nothing(_: object) -> None:
        """What is repeated has been saved and told before."""

    return build_trainer(
        session, objective, save=nothing, requested=never, tell=nothing, rows=rows
    )
