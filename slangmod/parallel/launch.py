"""What torchrun tells each process that it starts (no torch)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from slangmod.errors import UserError

SIGN: Final = "TORCHELASTIC_RUN_ID"
"""A variable that torchrun sets for the processes it starts, and nobody else does."""


@dataclass(frozen=True)
class Launch:
    """The place of this process among those that were started together."""

    rank: int
    """of this process among all, from 0; 0 leads: it writes, and it speaks"""
    size: int
    """number of processes on all machines"""
    local_rank: int
    """of this process among those of its machine: which of its devices is whose"""
    local_size: int
    """number of processes on this machine"""
    restarts: int = 0
    """how often torchrun has started them anew after one had failed"""
    run_id: str = "none"
    """torchrun's ``--rdzv-id``; "none" where nobody gave one"""
    address: str = "localhost"
    port: int = 0
    """where the store is that the processes find each other by"""
    lasting: bool = False
    """whether torchrun keeps that store itself, so that it outlives its processes"""

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0


def launch_of(environ: Mapping[str, str]) -> Launch | None:
    """What ``environ`` says of torchrun; None where it did not start this process.

    Raises UserError where a number that torchrun sets is missing or is none.

    >>> launch_of({"HOME": "/root"}) is None
    True
    """
    if SIGN not in environ:
        return None
    rank, size, local_rank, local_size, restarts, port = (
        number_of(environ, name)
        for name in (
            "RANK",
            "WORLD_SIZE",
            "LOCAL_RANK",
            "LOCAL_WORLD_SIZE",
            "TORCHELASTIC_RESTART_COUNT",
            "MASTER_PORT",
        )
    )
    if not (rank < size and local_rank < local_size <= size):
        raise UserError(
            f"RANK = {rank} of WORLD_SIZE = {size}, LOCAL_RANK = {local_rank} of "
            f"LOCAL_WORLD_SIZE = {local_size}: no such process is among them; "
            "start slangmod with torchrun, or unset " + SIGN
        )
    return Launch(
        rank,
        size,
        local_rank,
        local_size,
        restarts,
        environ[SIGN],
        environ.get("MASTER_ADDR", "localhost"),
        port,
        environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
    )


def number_of(
    environ: Mapping[str, str], name: str, launcher: str = "torchrun", sign: str = SIGN
) -> int:
    """The number from 0 on that ``launcher`` put into ``environ``; else UserError.

    ``sign`` is the variable by which it is known that it started this process.
    """
    word = environ.get(name, "")
    if not (word.isascii() and word.isdigit()):
        said = f"{name} = {word!r}" if word else f"{name} is not set"
        raise UserError(
            f"{said}: {launcher} sets it to a number; start slangmod with {launcher}, "
            f"or unset {sign}"
        )
    return int(word)
