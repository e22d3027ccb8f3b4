"""The best checkpoint, of which the model is made: it is there, and is as written."""

import logging

from slangmod.errors import RunError, UserError
from slangmod.parallel.team import Team
from slangmod.runs.directory import RunDir
from slangmod.training.checkpoint import checkpoint_path, problems_of
from slangmod.training.state import TrainState

LOG = logging.getLogger(__name__)

LATER = {
    **{name: f"train.{name} N" for name in ("max_epochs", "max_steps", "max_time")},
    **{name: f"train.{name} N" for name in ("patience", "patience_steps")},
    "converged": "train.convergence_threshold N",
}
"""The setting whose other value lets a run go on, by the reason why it has ended."""


def refuse_unsound_best(run: RunDir, step: int, reason: str, team: Team) -> None:
    """Raise RunError unless the checkpoint of ``step`` is what was written.

    The leader of the team reads it, and all others are told. ``reason``: why the run
    has ended.
    """
    found = team.text("; ".join(faults_of_best(run, step)) if team.leads else "")
    if found:
        raise RunError(f"{found}{ways_out(run, reason)}")


def warn_of_unsound_best(run: RunDir, state: TrainState) -> None:
    """Say so if the best checkpoint that ``state`` knows of is not what was written.

    While training goes on a backup may still be there; and perhaps none is needed.
    """
    step = state.patience.best_step
    if step in (0, state.counters.step):  # none yet; that which was just read
        return
    if faults := faults_of_best(run, step):
        LOG.warning(
            "%s; copy it from a backup before the run ends: without it there will be "
            "no model unless a better one follows",
            "; ".join(faults),
        )


def faults_of_best(run: RunDir, step: int) -> tuple[str, ...]:
    """What is wrong with the best checkpoint, that of ``step``."""
    best = checkpoint_path(run.checkpoints, step)
    if not best.is_dir():  # removed by somebody, with the run's folder perhaps
        return (f"{best}: the best checkpoint is gone",)
    try:
        return tuple(problems_of(best))
    except UserError as error:  # a newer slangmod has written it
        return error.problems


def ways_out(run: RunDir, reason: str | None) -> str:
    """What to do about a best checkpoint that is not what was written: the line's end.

    ``reason``: why the run has ended; None if it has not.
    """
    resume = f"`slangmod resume --name {run.name}"
    backup = "; copy it from a backup"
    if reason is None:
        return f"{backup}, or {resume}` goes on, and ends well if one is better"
    backup = f"{backup}, and {resume}` ends the run"
    if reason not in LATER:
        return f"{backup}, or train it again"
    return f"{backup}, or {resume} --{LATER[reason]}` goes on until one is better"
