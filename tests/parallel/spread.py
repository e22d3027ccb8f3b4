"""The little states of the reliability tests, spread over a team."""

import threading

import torch
from torch import nn

from slangmod.optim.state import restore, stored
from slangmod.parallel.shards import Shards, own_parameters, rows_of
from slangmod.parallel.team import Team
from slangmod.training.state import TrainState
from tests.reliability.states import state_at

ONE_AT_A_TIME = threading.Lock()


def spread(whole: TrainState, team: Team) -> TrainState:
    """The share of one process in ``whole``."""
    model = nn.Linear(3, 2, device="meta")
    weights = dict(whole.model.named_parameters())
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}

    def cut(name: str, tensor: torch.Tensor) -> torch.Tensor:
        rows = rows_of(team.rank, team.size, shapes[name][0])
        return tensor[rows.start : rows.stop].detach().clone()

    own = {name: nn.Parameter(cut(name, one)) for name, one in weights.items()}
    model.shards = Shards(
        team, own, shapes, torch.device("cpu"), lambda: None, lambda: None
    )  # type: ignore[assignment]
    optimizer = torch.optim.AdamW(own.values(), lr=0.1)
    tensors, scalars = stored(whole.optimizer, whole.model)
    mine = {
        place: cut(place.split("/")[0], one) if one.ndim else one
        for place, one in tensors.items()
    }
    restore(optimizer, model, mine, scalars)
    state = TrainState(model, optimizer)
    state.take(whole.plain())
    return state


def share_at(step: int, team: Team) -> TrainState:
    """The share of one process in ``state_at(step)``."""
    with ONE_AT_A_TIME:  # they share one source of chance
        whole = state_at(step)
    return spread(whole, team)


def tensors_of(state: TrainState) -> dict[str, bytes]:
    """The bytes of all tensors of a state, or of a share in one."""
    moments, _ = stored(state.optimizer, state.model)
    return {
        name: tensor.detach().numpy().tobytes()
        for name, tensor in {**own_parameters(state.model), **moments}.items()
    }
