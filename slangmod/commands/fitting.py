"""As many rows at a time as fit the memory of the device."""

import logging
from typing import Final

import torch

from slangmod.commands.counting import spaced
from slangmod.commands.session import build_objective
from slangmod.errors import NEEDS_LESS, UserError
from slangmod.settings.automatic import in_portions, portion_sizes
from slangmod.settings.sections import Settings
from slangmod.settings.stages import stages_of
from slangmod.training.allocator import keeps_memory
from slangmod.training.heap import resident_peak
from slangmod.training.memory import free_bytes
from slangmod.training.rehearsal import rehearse

LOG = logging.getLogger(__name__)

SHARE: Final = 0.9
"""Of the free memory that training may take: others need some, too."""


def rows_at_once(
    settings: Settings,
    vocab: int,
    device: torch.device,
    processes: int = 1,
    allowed: int | None = None,
) -> int | None:
    """What ``train.largest_batch`` chooses on ``device``; None where it is not set.

    Of the rows of a mini-batch, each of several ``processes`` has its part. ``allowed``
    are bytes; None: those of ``allowed_bytes``.

    Training is rehearsed without numbers, stage by stage, so nothing can run out. The
    smallest choice of all stages is that of the run. Raises UserError if not even one
    row fits.
    """
    if not settings.train.largest_batch:
        return None
    allowed = allowed_bytes(device) if allowed is None else allowed
    if allowed is None:
        raise UserError(
            f"train.largest_batch: {device} does not tell how much memory is free; "
            "set train.batch_size to a number"
        )
    stages = [part_of(plan.settings, processes) for plan in stages_of(settings)]
    rows = min(largest(stage, vocab, device, allowed) for stage in stages)
    LOG.info(
        "%d rows at a time are the most of a step that fit into %s MB",
        *(rows, spaced(allowed // 10**6)),
    )
    return rows


def allowed_bytes(device: torch.device, neighbours: int = 1) -> int | None:
    """What each of ``neighbours``, processes of this machine, may take on its device.

    CPUs share the memory of the machine. None where the device does not tell.
    """
    free = free_bytes(device)
    if free is None:
        return None
    return int(SHARE * free) // (1 if device.type == "cuda" else neighbours)


def part_of(settings: Settings, processes: int) -> Settings:
    """Settings whose mini-batches are what one of so many processes has of them."""
    if processes == 1:
        return settings
    size = settings.train.batch_size // processes
    train = settings.train.model_copy(update={"batch_size": size})
    return settings.model_copy(update={"train": train})


def largest(settings: Settings, vocab: int, device: torch.device, allowed: int) -> int:
    """The largest portion that takes at most ``allowed`` bytes; needs grow with it."""
    fits, possible = 0, portion_sizes(settings)
    while possible:
        middle = len(possible) // 2
        if needed(settings, possible[middle], vocab, device) <= allowed:
            fits, possible = possible[middle], possible[middle + 1 :]
        else:
            possible = possible[:middle]
    if not fits:
        raise UserError(
            "train.largest_batch: not even one row fits into the "
            f"{spaced(allowed // 10**6)} MB that may be used; {NEEDS_LESS}"
        )
    return fits


def needed(settings: Settings, rows: int, vocab: int, device: torch.device) -> int:
    """Bytes that training takes with ``rows`` rows at a time."""
    portion = in_portions(settings, rows)
    rehearsal = rehearse(portion, vocab, device, build_objective)
    if device.type == "cpu":
        return resident_peak(rehearsal.events, kept=keeps_memory(device))
    return rehearsal.peak
