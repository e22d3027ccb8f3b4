"""Whether a run has been trained, be its checkpoints still there or not."""

from slangmod.errors import DataError
from slangmod.runs.directory import RunDir
from slangmod.runs.overview import FAILED, STOPPED
from slangmod.runs.series import last_row
from slangmod.runs.summary import read_summary


def has_begun(run: RunDir) -> bool:
    """Whether there is anything in the folder of ``run`` that training has made.

    The first checkpoint is on disk before the first step is taken. So a run that has
    rows, a model or a summary of steps has had one, and one that was broken off before
    it has none of these.
    """
    return (
        run.has_checkpoints()
        or run.model.exists()
        or any(last_row(table) for table in (run.steps, run.epochs))
        or _has_steps(run)
    )


def _has_steps(run: RunDir) -> bool:
    """Whether the summary, if there is one, is of more than a start that failed."""
    try:
        outcome = read_summary(run.summary).get("outcome", {})
    except DataError:
        return True  # nobody knows of how much
    return bool(outcome.get("steps")) or (
        outcome.get("reason") not in (None, STOPPED, FAILED)
    )
