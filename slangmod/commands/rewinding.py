"""Back from a spike to the last good checkpoint, and past the mini-batches since.

Everything follows from the state at the spike and from the checkpoints that were due,
so a run that is killed at any instant of it, and goes on from what is left, comes to
the same spike, the same checkpoint and the same bits.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slangmod.commands.bystander import Bystander
from slangmod.commands.recording import Recording
from slangmod.commands.session import Session, session_now
from slangmod.commands.staging import leg_at
from slangmod.errors import RunError
from slangmod.optim import build_optimizer
from slangmod.runs.directory import RunDir
from slangmod.settings.sections import Settings
from slangmod.training.checkpoint import (
    found_of,
    list_checkpoints,
    load_checkpoint,
    problems_of,
    step_of,
)
from slangmod.training.course import Course
from slangmod.training.events import Rewind, Spike
from slangmod.training.guard import SpikeError
from slangmod.training.limits import Outcome
from slangmod.training.saver import Saver
from slangmod.training.state import TrainState
from slangmod.training.stored import read_counters
from slangmod.training.trainer import Trainer

LOG = logging.getLogger(__name__)


def fit_or_spike(trainer: Trainer, session: Session) -> Outcome | Spike:
    """Train until it ends, or until a spike that is to be gone back from."""
    try:
        return trainer.fit(session.state, session.train, session.test)
    except SpikeError as found:
        return found.spike


def refuse_one_more(session: Session, spike: Spike) -> None:
    """Raise RunError if the run has gone back too often to do so once more."""
    allowed = session.settings.guard.max_rewinds
    if session.state.course.rewinds >= allowed:
        raise RunError(
            f"step {spike.step}: the loss spikes again after guard.max_rewinds = "
            f"{allowed}; a smaller train.learning_rate, a longer train.warmup or a "
            'smaller train.clip_grad may help, guard.on_spike = "report" goes on'
        )


def refuge_of(run: RunDir, session: Session, spike: Spike) -> Path:
    """The checkpoint to go back to, the same for all processes; RunError if none."""
    # The leader may soon remove what others would still look at.
    return run.checkpoints / session.team.text(
        good_checkpoint(run.checkpoints, session.state.course, spike.step).name
        if session.team.leads
        else ""
    )


def go_back(
    path: Path,
    session: Session,
    spike: Spike,
    recording: Recording | Bystander,
    saver: Saver | Bystander,
    insist: Callable[[Callable[[], None]], None],
) -> Session:
    """Take over the checkpoint ``path``; -> the session that goes on from there.

    The mini-batches from there to the spike will be stepped over. Later checkpoints
    are removed, the newest first, and rows are cut, before anything new is written.
    ``insist`` waits for a disk that refuses either.
    """
    state, known, step = session.state, session.state.course, read_counters(path).step
    seconds, times = state.counters.seconds, state.times
    insist(lambda: saver.abandon_after(step))
    after = load_anew(session, path)
    # What happened has happened, also where what was learnt is taken back.
    state.course.rewinds = known.rewinds + 1
    state.course.spikes, state.course.skipped = known.spikes, known.skipped
    state.course.resume_batch = spike.batch
    state.counters.seconds, state.times = seconds, times
    insist(lambda: recording.go_back_to(state.counters))
    begin, number = state.counters.batch, state.course.rewinds
    recording(Rewind(spike.step, state.counters.step, begin, spike.batch, number))
    return after


def good_checkpoint(folder: Path, course: Course, step: int) -> Path:
    """The newest sound checkpoint from before a spike at ``step``; RunError if none.

    Those that were due come first; others depend on when the run was interrupted.
    """
    due = [found_of(folder, one.step) for one in course.refuges_before(step)]
    older = [path for path in list_checkpoints(folder) if step_of(path) < step - 1]
    tried: list[str] = []
    for path in dict.fromkeys([*due, *older]):
        problems = problems_of(path)
        if not problems:
            return path
        tried += problems
    reason = "; ".join(tried) or "none is old enough"
    raise RunError(
        f"step {step}: the loss spikes, and there is no checkpoint to go back to: "
        f"{reason}"
    )


def load_anew(session: Session, path: Path) -> Session:
    """The state takes over a checkpoint, which may be of an earlier stage."""
    state, counters = session.state, read_counters(path)
    text, since = state.counters.text_batch, state.patience.since
    state.model.zero_grad(set_to_none=True)  # of the step that was broken off
    stage = leg_at(session.legs, counters).plan.settings
    state.optimizer = build_optimizer(stage, state.model)
    load_checkpoint(path, state)
    # What is another since then stays so.
    if state.counters.text_batch < text:
        state.counters.take_other_text()
    if state.patience.since < since:
        state.patience = state.patience.anew(since)
    return session_now(session)


def refuge_steps(state: TrainState, settings: Settings) -> set[int]:
    """Steps of the checkpoints that must stay, so that a spike can be gone back from.

    The best that they know of are among them.
    """
    if settings.guard.on_spike != "rewind":
        return set()
    return {step for refuge in state.course.refuges for step in refuge}


def incidents(state: TrainState) -> dict[str, Any]:
    """What [outcome] says of what went wrong; None where nothing did."""
    course = state.course
    return {
        "skipped_steps": course.skipped or None,
        "spikes": course.spikes or None,
        "rewinds": course.rewinds or None,
    }
