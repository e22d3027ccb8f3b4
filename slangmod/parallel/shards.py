"""Which rows of each weight a process has, where a model is spread over several.

Every weight is cut along its first dimension, as torch.chunk cuts: into pieces of
``ceil(rows / processes)`` rows, of which the last may be smaller, or empty.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slangmod.parallel.team import Team


def rows_of(rank: int, size: int, total: int) -> range:
    """The rows of ``total`` that process ``rank`` of ``size`` has.

    >>> [rows_of(rank, 4, 5) for rank in range(4)]
    [range(0, 2), range(2, 4), range(4, 5), range(5, 5)]
    """
    each = -(-total // size)
    return range(min(rank * each, total), min((rank + 1) * each, total))


@dataclass(frozen=True)
class Shards:
    """The share of one process in a model; each process has its own."""

    team: Team
    own: Mapping[str, nn.Parameter]
    """rows of each weight, by its name; what an optimizer changes"""
    shapes: Mapping[str, tuple[int, ...]]
    """of the whole weights"""
    device: torch.device
    """where it computes; the rows may wait elsewhere"""
    collect: Callable[[], None]
    """takes over the gradients of the own rows, once they are summed over all"""
    gather_again: Callable[[], None]
    """forgets what was gathered of others' rows, so that changes of them are seen"""

    def rows(self, name: str) -> range:
        """Which rows of the weight ``name`` are the own ones."""
        return rows_of(self.team.rank, self.team.size, self.shapes[name][0])

    def count(self, own: Tensor) -> int:
        """Numbers in the whole weight of which ``own`` are the rows."""
        name = next(name for name, rows in self.own.items() if rows is own)
        return math.prod(self.shapes[name])

    @torch.no_grad()
    def put(self, name: str, whole: Tensor) -> None:
        """Make the own rows of the weight ``name`` those of ``whole``."""
        rows = self.rows(name)
        self.own[name].copy_(whole[rows.start : rows.stop])


def shards_of(model: nn.Module) -> Shards | None:
    """The share of this process in ``model``; None where it has all of it."""
    found = getattr(model, "shards", None)
    assert found is None or isinstance(found, Shards)
    return found


def device_of(model: nn.Module) -> torch.device:
    """Where ``model`` computes; the weights of a spread one may wait elsewhere."""
    shards = shards_of(model)
    return next(model.parameters()).device if shards is None else shards.device


def own_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of ``model`` that this process steps: whole ones, or its rows."""
    shards = shards_of(model)
    return dict(model.named_parameters() if shards is None else shards.own)
