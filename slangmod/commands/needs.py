"""What training needs on each of several devices, found without taking a step."""

from typing import Final

import torch

from slangmod.commands.fitting import allowed_bytes
from slangmod.commands.session import build_objective
from slangmod.errors import SettingsError
from slangmod.parallel.strategy import Choice, Needs, choose
from slangmod.settings.automatic import in_portions
from slangmod.settings.sections import Settings
from slangmod.settings.stages import stages_of
from slangmod.settings.tensors import count_parameters, weights_by_place
from slangmod.training.allocator import keeps_memory
from slangmod.training.heap import resident_peak
from slangmod.training.rehearsal import (
    ACTIVATIONS,
    COPIES,
    GRADIENTS,
    LOGITS,
    OPTIMIZER,
    WEIGHTS,
    rehearse,
)

FLOAT: Final = 4
"""bytes of a weight"""


def strategy_for(
    settings: Settings, vocab: int, device: torch.device, devices: int, neighbours: int
) -> Choice:
    """What ``parallel.strategy = "auto"`` is, by the stage that needs most.

    ``neighbours``: processes on this machine, which share its memory if they compute on
    CPUs; they are asked at the same moment, before any has taken much.
    """
    free = allowed_bytes(device, neighbours)
    needs = [
        (needs_of(plan.settings, vocab, device, devices), plan.settings.train.step_freq)
        for plan in stages_of(settings)
    ]
    choices = [choose(one, devices, free, step_freq) for one, step_freq in needs]
    return next((one for one in choices if one.strategy == "fsdp"), choices[0])


def needs_of(
    settings: Settings,
    vocab: int,
    device: torch.device,
    devices: int,
    rows: int | None = None,  # at a time; None: those that a device has of a mini-batch
) -> Needs:
    """Bytes on each of ``devices``, by rehearsing training on a device's own rows."""
    share = in_portions(share_of(settings, devices), rows)
    parts = rehearse(share, vocab, device, build_objective)
    held = parts.at_peak
    kept = 0  # free, but not given back
    if device.type == "cpu":
        kept = resident_peak(parts.events, kept=keeps_memory(device)) - parts.peak
    block, outside = weights_by_place(settings.model, vocab)
    total = FLOAT * count_parameters(settings.model, vocab)
    return Needs(
        held[WEIGHTS] + held[COPIES],
        # When most is held, some of them may not be there yet.
        max(held[GRADIENTS], total),
        held[OPTIMIZER],
        held[ACTIVATIONS] + held[LOGITS] + kept,
        block,
        outside,
    )


def share_of(settings: Settings, devices: int) -> Settings:
    """Settings with the rows of a mini-batch that each of ``devices`` has.

    Raises SettingsError where they cannot be divided.
    """
    rows = settings.train.batch_size
    if rows % devices:
        near = [
            n for n in (rows - rows % devices, rows + devices - rows % devices) if n
        ]
        raise SettingsError(
            f"train.batch_size = {rows}: {devices} devices cannot share it evenly; "
            f"{' or '.join(map(str, near))} would fit, or another number of devices"
        )
    train = settings.train.model_copy(update={"batch_size": rows // devices})
    return settings.model_copy(update={"train": train})
