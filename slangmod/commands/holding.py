"""What of a model each process holds, where several train it together."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from slangmod.model import build_model
from slangmod.model.transformer import Transformer
from slangmod.parallel.shards import shards_of
from slangmod.parallel.strategy import DDP, FSDP
from slangmod.parallel.team import Team
from slangmod.settings.sections import Settings
from slangmod.training.chance import seed_initialisation
from slangmod.training.wrapping import Wrapping


def new_model(
    settings: Settings,
    vocab: int,
    device: torch.device,
    weights: Mapping[str, Tensor] | None,
    end: int | None,
    team: Team,
    strategy: str,
) -> Transformer:
    """A model with fresh weights, or those given, on ``device``: whole, or some rows.

    The same seed draws the same weights, whoever holds them.
    """
    seed_initialisation(settings.seed)
    if strategy == FSDP and not team.alone:
        from slangmod.model.spreading import build_spread

        return build_spread(settings, vocab, end, device, team, weights)
    model = build_model(settings, vocab, end)
    if weights is not None:
        model.load_state_dict(weights)
    return model.to(device)


def wrapping_of(model: nn.Module) -> Wrapping:
    """What sums the gradients of processes that train ``model`` together."""
    from slangmod.training.strategies import STRATEGIES

    return STRATEGIES[DDP if shards_of(model) is None else FSDP](model)
