"""What comes first for who takes a run's lock: a holder may have died as it wrote."""

from typing import TYPE_CHECKING

from slangmod.errors import name_place
from slangmod.files import bring_back, sweep_asides
from slangmod.locks import holder_file
from slangmod.syncing import sync_folder

if TYPE_CHECKING:
    from slangmod.runs.directory import RunDir


def tidy(run: "RunDir") -> None:
    """Remove what a holder of the lock left unfinished; what it finished is durable.

    Checkpoints that are under way are left to the next save. Not all else is removed:
    a report is written by whoever looks, with no lock.
    """
    holder = holder_file(run.lock_file)
    ours = run.config, run.summary, run.tracking, run.changes, run.sums, run.model
    for path in (*ours, holder):
        sweep_asides(run.root, f"-{path.name}")
    sweep_asides(run.bad_steps)
    settle(run)


def settle(run: "RunDir") -> None:
    """Have each checkpoint under its own name, and the names outlive anything.

    So what is found now outlives those that are removed for it. That of the folder
    of checkpoints is durable as soon as the lock's holder is written down beside it.
    """
    bring_back(run.checkpoints)
    for folder in (run.checkpoints, run.root.parent):
        try:
            if folder.is_dir():
                sync_folder(folder)
        except OSError as error:
            name_place(error, folder)
            raise
