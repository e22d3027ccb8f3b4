"""Models without memory, and memory without values, made in the shortest way.

Torch has ways of its own. They load its compiler, or the algebra that belongs to it,
wherever a tensor has no memory, and that takes nearly as long as loading torch.
"""

import torch
from torch import nn


def embedding(rows: int, dim: int, *, scale_grad_by_freq: bool = False) -> nn.Embedding:
    """A table [rows, dim] that is learnt; its values are still to be set."""
    made: nn.Embedding = nn.Embedding.from_pretrained(  # type: ignore[no-untyped-call]
        torch.empty(rows, dim), freeze=False, scale_grad_by_freq=scale_grad_by_freq
    )
    return made


def give_memory(model: nn.Module) -> None:
    """Memory on the CPU for all weights and tables of ``model``; values are not set."""
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            memory = torch.empty(weight.shape, dtype=weight.dtype, device="cpu")
            setattr(module, name, nn.Parameter(memory, weight.requires_grad))
        for name, table in list(module.named_buffers(recurse=False)):
            memory = torch.empty(table.shape, dtype=table.dtype, device="cpu")
            setattr(module, name, memory)
