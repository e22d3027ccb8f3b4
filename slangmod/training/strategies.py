"""How several processes learn as one: what each holds, and how gradients are summed.

To add a strategy: a function of the model that the processes share, and its name in
STRATEGIES.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from slangmod.data.dataset import Batch
from slangmod.parallel.fsdp import held
from slangmod.parallel.shards import device_of
from slangmod.training.feed import to_device
from slangmod.training.step import Objective
from slangmod.training.wrapping import Wrapping


class Learner(nn.Module):
    """An objective as a module whose weights are those of the model that it trains.

    The tables that a model keeps besides its weights never change: they are not ours.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.weights = nn.ParameterList(model.parameters())
        self.objective: Objective | None = None

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Inputs and targets [batch, seq] -> sum of losses, scalar."""
        assert self.objective is not None  # who wraps it says so first
        return self.objective(inputs, targets)


def ddp(model: nn.Module) -> Wrapping:
    """Each process holds all; gradients are summed in buckets, during backward.

    PyTorch's DistributedDataParallel (Li et al., "PyTorch Distributed: Experiences on
    Accelerating Data Parallel Training", 2020). It makes a mean of what is a sum, which
    the losses' weight undoes: a hook of ours would be Python within its threads. All
    begin with the leader's weights.
    """
    learner = Learner(model)
    together = DistributedDataParallel(learner, gradient_as_bucket_view=True)

    def around(objective: Objective) -> Objective:
        learner.objective = objective
        return together

    return Wrapping(around, together.no_sync, float(dist.get_world_size()))


def fsdp(model: nn.Module) -> Wrapping:
    """Each process holds some rows of all weights; ``model`` was built so.

    See ``slangmod.parallel.fsdp``. Its gradients are summed without being asked.
    """
    return Wrapping(hold=partial(held, model))


STRATEGIES: Final[dict[str, Callable[[nn.Module], Wrapping]]] = {
    "ddp": ddp,
    "fsdp": fsdp,
}
"""By ``parallel.strategy``."""


def settle(objective: Objective, batch: Batch, model: nn.Module) -> None:
    """Go forward and backward twice, and forget it.

    Gradients are put into buckets anew before the second time, in the order in which
    they came; and the order in which more than two numbers are summed depends on where
    in a bucket they are. After this, a run that begins and one that goes on sum alike,
    and nothing but gradients is exchanged.
    """
    device = device_of(model)
    row = Batch(*(tensor[:1] for tensor in batch))
    for _ in range(2):
        objective(*to_device(row, device)).backward()  # type: ignore[no-untyped-call]
        model.zero_grad(set_to_none=True)
