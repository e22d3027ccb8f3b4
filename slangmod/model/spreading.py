"""A model that several processes hold together, each some rows of every weight."""

from collections.abc import Mapping

import torch
from torch import Tensor

from slangmod.model.build import first_values, skeleton
from slangmod.model.transformer import Transformer
from slangmod.parallel.fsdp import spread
from slangmod.parallel.shards import Shards
from slangmod.parallel.team import Team
from slangmod.settings.sections import Settings


def build_spread(
    settings: Settings,
    vocab: int,
    end: int | None,
    device: torch.device,
    team: Team,
    weights: Mapping[str, Tensor] | None = None,
) -> Transformer:
    """As ``build_model``, on ``device``; or with ``weights``, by name.

    The same draws make the same weights however many processes there are: each draws
    all of them, one after the other, and keeps its rows.
    """
    apart = settings.data.packing == "mask"
    model = skeleton(
        settings.model, vocab, settings.plugins.allow, end if apart else None
    )
    offload = settings.parallel.cpu_offload
    shards = spread(
        model, list(model.each_layer()), ["hidden"], team, device, offload=offload
    )
    model.positions.fill()
    model.shards = shards

    if weights is None:
        draw(model, shards, zeros=settings.model.zero_init)
    else:
        for name, whole in weights.items():
            shards.put(name, whole)
    return model


@torch.no_grad()
def draw(model: Transformer, shards: Shards, *, zeros: bool) -> None:
    """Draw all weights, of which no more than one is ever whole."""
    names = {module: name for name, module in model.named_modules()}
    for module, key, fill in first_values(model, zeros=zeros):
        name = ".".join(filter(None, (names[module], key)))
        whole = torch.empty(shards.shapes[name])
        fill(whole)
        shards.put(name, whole)
