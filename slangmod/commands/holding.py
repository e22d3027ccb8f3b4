"""What of a model each process holds, where several train it together."""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from slangmod.model import build_model
from slangmod.model.transformer import Transformer
from slangmod.parallel.team import Team
from slangmod.settings.sections import Settings
from slangmod.training.chance import seed_initialisation
from slangmod.training.wrapping import Wrapping

SPREAD: Final = "fsdp"
"""The strategy by which each process has some rows of every weight."""


def strategy_of(settings: Settings) -> str:
    """How processes that train together do so."""
    strategy = settings.parallel.strategy
    return "ddp" if strategy == "auto" else strategy


def new_model(
    settings: Settings,
    vocab: int,
    device: torch.device,
    weights: Mapping[str, Tensor] | None,
    end: int | None,
    team: Team,
) -> Transformer:
    """A model with fresh weights, or those given, on ``device``: whole, or some rows.

    The same seed draws the same weights, whoever holds them.
    """
    seed_initialisation(settings.seed)
    if not team.alone and strategy_of(settings) == SPREAD:
        from slangmod.model.spreading import build_spread

        return build_spread(settings, vocab, end, device, team, weights)
    model = build_model(settings, vocab, end)
    if weights is not None:
        model.load_state_dict(weights)
    return model.to(device)


def wrapping_of(settings: Settings, model: nn.Module) -> Wrapping:
    """What ``parallel.strategy`` asks for, of processes that train together."""
    from slangmod.training.strategies import STRATEGIES

    return STRATEGIES[strategy_of(settings)](model)
