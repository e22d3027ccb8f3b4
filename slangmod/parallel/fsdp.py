"""A model spread over several processes: torch's FSDP2, ``fully_shard``.

Each process keeps its rows of every weight, of its gradient, and of what the optimizer
remembers. The whole weights of a block are gathered when it is computed, forward and
backward, and forgotten after; gradients are summed and scattered as they come (Zhao et
al., "PyTorch FSDP: experiences on scaling fully sharded data parallel", 2023).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    OffloadPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor

from slangmod.parallel.shards import Shards
from slangmod.parallel.team import Team


def spread(
    model: nn.Module,
    blocks: Sequence[nn.Module],
    methods: Sequence[str],
    team: Team,
    device: torch.device,
    *,
    offload: bool,
) -> Shards:
    """Give ``model``, which has no memory yet, that for the rows of this process.

    ``blocks`` of it are gathered one after the other, what is outside of them for as
    long as it computes. ``methods`` compute besides ``forward``. With ``offload`` the
    rows wait in host memory, which on a CPU they do anyway. Weights, gradients and sums
    stay float32: what autocast makes of them is what it makes of those of one process.
    Values are not set.
    """
    if device.type == "cuda":  # a mesh is of the current devices
        torch.cuda.set_device(device)
    mesh = init_device_mesh(device.type, (team.size,))
    offload = offload and device.type != "cpu"
    policy = CPUOffloadPolicy() if offload else OffloadPolicy()
    for part in (*blocks, model):
        fully_shard(part, mesh=mesh, offload_policy=policy)
    for piece in parts_of(model):
        # Losses are divided by the tokens of all processes already.
        piece.set_gradient_divide_factor(1.0)
        piece.set_force_sum_reduction_for_comms(True)
    for method in methods:
        register_fsdp_forward_method(model, method)
    give_memory(model, device, offload=offload)
    return shards_in(model, team, device)


def parts_of(model: nn.Module) -> Iterator[FSDPModule]:
    """What is gathered at a time: the blocks, and the rest."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            yield module


def give_memory(model: nn.Module, device: torch.device, *, offload: bool) -> None:
    """Memory for the own rows, and for the tables, which every process has."""
    model.to_empty(device="cpu" if offload else device)
    for module in model.modules():
        for name, table in list(module.named_buffers(recurse=False)):
            setattr(module, name, table.to(device))


def shards_in(model: nn.Module, team: Team, device: torch.device) -> Shards:
    """The rows that this process has: the very memory that is gathered from."""
    whole = dict(model.named_parameters())
    own = {}
    for name, parameter in whole.items():
        own[name] = nn.Parameter(rows_in(parameter), parameter.requires_grad)

    def collect() -> None:
        for name, parameter in whole.items():
            assert rows_in(parameter).data_ptr() == own[name].data_ptr()
            gradient = parameter.grad
            own[name].grad = None if gradient is None else rows_in(gradient)
            parameter.grad = None

    def gather_again() -> None:
        for part in parts_of(model):
            part.reshard()

    shapes = {name: tuple(parameter.shape) for name, parameter in whole.items()}
    return Shards(team, own, shapes, device, collect, gather_again)


@torch.no_grad()
def rows_in(tensor: Tensor) -> Tensor:
    """The memory of the own rows of ``tensor``."""
    assert isinstance(tensor, DTensor)
    rows: Tensor = tensor.to_local()
    return rows


@contextmanager
def held(model: nn.Module) -> Iterator[None]:
    """Gradients computed meanwhile stay whole, and those of this process.

    At the end of what is computed after it they are summed, too. Until then they take
    the memory of all weights.
    """
    assert isinstance(model, FSDPModule)
    model.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        model.set_requires_gradient_sync(True)
