"""Torch's optimizers without loading torch's compiler.

An optimizer of torch loads the compiler when it is made, and again when it steps, to
tell it to keep out. That takes nearly as long as loading torch itself, before the first
step of every run, though no optimizer is ever compiled here. So the methods are taken
from under what guards them; what they compute is the same.
"""

import inspect

import torch


class Light(torch.optim.Optimizer):
    """What all optimizers share, unguarded."""

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)


def light[Kind: torch.optim.Optimizer](kind: type[Kind]) -> type[Kind]:
    """``kind``, a class of torch.optim, that steps without the compiler being loaded.

    Not with ``differentiable``: steps leave no trace for gradients.
    """
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (Light, kind), {"step": step})
