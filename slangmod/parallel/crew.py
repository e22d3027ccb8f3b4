"""Who was started together to share work on files: torchrun's processes, or srun's.

The processes of a crew need no network: they meet in a folder that all of them see
(``slangmod.parallel.meeting``).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from slangmod.errors import UserError
from slangmod.parallel.launch import launch_of, number_of

STEP: Final = ("SLURM_STEP_ID", "SLURM_STEPID")
"""One of these is set for what srun has started, and not for a batch script itself,
which has a place (SLURM_PROCID = 0) and a number of tasks, too, but is alone."""

TASKS: Final = ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")
"""How many processes the step has; the first that is set counts."""

OF_TORCHRUN: Final = ("TORCHELASTIC_", "GROUP_", "ROLE_", "MASTER_")
"""What more variables of torchrun begin with."""

PLACES: Final = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    *(*STEP, *TASKS, "SLURM_PROCID", "SLURM_LOCALID"),
)
"""Variables that give a process its place; commands that it starts are none of them."""


@dataclass(frozen=True)
class Crew:
    """The place of this process among those that share the work."""

    rank: int = 0
    """of this process, from 0; 0 leads: it puts the parts together, and it speaks"""
    size: int = 1
    """number of processes on all machines"""
    cores: int | None = None
    """how many processors are this process's share; None: all that it may use"""

    @property
    def leads(self) -> bool:
        """Whether this process puts together what all have made."""
        return self.rank == 0


ALONE: Final = Crew()
"""The crew of a process that was started by itself."""


def crew_of(environ: Mapping[str, str]) -> Crew:
    """The crew that torchrun or srun has made this process part of, by ``environ``.

    Raises UserError where what they set makes no sense.

    >>> crew_of({"SLURM_STEP_ID": "0", "SLURM_PROCID": "1", "SLURM_NTASKS": "4"})
    Crew(rank=1, size=4, cores=None)
    """
    launch = launch_of(environ)
    if launch is not None:
        return Crew(launch.rank, launch.size, max(1, usable() // launch.local_size))
    if not any(name in environ for name in STEP):
        return ALONE
    tasks = next((name for name in TASKS if name in environ), TASKS[-1])
    rank, size = (
        number_of(environ, name, "srun", STEP[0]) for name in ("SLURM_PROCID", tasks)
    )
    if rank >= size:
        raise UserError(
            f"SLURM_PROCID = {rank} of {size} tasks: no such process is among them; "
            f"start slangmod with srun, or unset {STEP[0]}"
        )
    share = environ.get("SLURM_CPUS_PER_TASK", "")
    return Crew(rank, size, min(int(share), usable()) if share.isdigit() else None)


def usable() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS


def without_place(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` for a command that works by itself, whoever has started us."""
    return {
        name: text
        for name, text in environ.items()
        if name not in PLACES and not name.startswith(OF_TORCHRUN)
    }
