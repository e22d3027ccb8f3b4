"""Which strategy processes take that train together, and why."""

import json
import logging
import socket
from dataclasses import astuple
from typing import Final

import torch

from slangmod.commands.fitting import SHARE
from slangmod.commands.needs import strategy_for
from slangmod.optim.optimizers import NUMBER_BY_NUMBER, SPREAD
from slangmod.parallel.strategy import DDP, FSDP, Choice
from slangmod.parallel.team import Team
from slangmod.settings.sections import Settings
from slangmod.settings.tensors import count_parameters
from slangmod.training.memory import free_bytes

LOG = logging.getLogger(__name__)

MOST_OF_A_WEIGHT: Final = 28
"""Bytes for each at most: itself, its gradient, two moments, three copies."""
LITTLE: Final = 0.1
"""Share of the memory below which it is not worth while to divide that."""


def agreed_strategy(
    settings: Settings,
    vocab: int,
    device: torch.device,
    team: Team,
    before: str | None = None,
) -> str | None:
    """The strategy of ``team``; None for a process that trains alone.

    ``before``: what a run chose when it began, which it keeps.
    """
    if team.alone:
        return None
    if settings.parallel.strategy != "auto":
        return settings.parallel.strategy
    if before is not None:
        return before
    choice = choose(settings, vocab, device, team.size, neighbours_in(team))
    each = [json.loads(one) for one in team.texts(json.dumps(astuple(choice)))]
    # One whose memory is short is enough; it is that one who knows why.
    ranks = [rank for rank, (strategy, _) in enumerate(each) if strategy == FSDP]
    rank = next(iter(ranks), 0)
    strategy, why = each[rank]
    where = f" (as rank {rank} has it)" if rank else ""
    LOG.info('parallel.strategy = "auto" is %s%s', why, where)
    return str(strategy)


def neighbours_in(team: Team) -> int:
    """Processes of ``team`` on this machine."""
    return team.texts(socket.gethostname()).count(socket.gethostname())


def choose(
    settings: Settings, vocab: int, device: torch.device, devices: int, neighbours: int
) -> Choice:
    """What this process would take; rehearses training only where it might matter."""
    if (needed := only_ddp(settings)) is not None:
        return needed
    most = MOST_OF_A_WEIGHT * count_parameters(settings.model, vocab)
    free = free_bytes(device)
    if free is not None and most < LITTLE * SHARE * free / neighbours:
        return Choice(DDP, "ddp: what fsdp would divide takes little of the memory")
    return strategy_for(settings, vocab, device, devices, neighbours)


def only_ddp(settings: Settings) -> Choice | None:
    """Why fsdp is impossible, however little memory there is; None where it is not."""
    word = settings.train.optimizer
    if word not in (*SPREAD, *NUMBER_BY_NUMBER):
        return Choice(DDP, f"ddp: {word} needs whole weights")
    if settings.train.largest_batch:
        return Choice(DDP, "ddp: the batch size is to be as large as fits with it")
    return None
