"""Weights in groups: which decay, and which have options of their own.

Matrices decay; norms, biases and embeddings do not.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from slangmod.errors import SettingsError
from slangmod.parallel.shards import own_parameters
from slangmod.settings.groups import assign, idle

Groups = list[dict[str, Any]]
"""What torch's optimizers take: ``params``, and options that hold for them."""


def parameter_groups(
    model: nn.Module, weight_decay: float, patterns: Sequence[str] = ()
) -> Groups:
    """Groups for an optimizer, each parameter in exactly one of them.

    A matrix multiplies activations, and decay keeps it small. An embedding is looked
    up, so that decay would pull down rare tokens that see no gradient; it is not
    decayed, nor is the output matrix where it is the same (tied) matrix.

    ``kind`` says what is in a group: "hidden" matrices, an "output" matrix that is
    apart, or the "rest", which is not decayed. ``number`` is that of the first of
    ``patterns`` that matches the names, counted from 1, and 0 where none does; those
    come first. Raises SettingsError if there is no parameter for a pattern.
    """
    kinds = kinds_of(model)
    for place, why in idle(list(kinds), patterns).items():
        raise SettingsError(
            f'optimizer.group.{place + 1}.match = "{patterns[place]}": {why}'
        )
    numbers = {
        name: 0 if place is None else place + 1
        for name, place in assign(kinds, patterns).items()
    }
    parameters = own_parameters(model)
    groups = []
    for number in range(len(patterns) + 1):
        for kind in ("hidden", "rest", "output"):
            names = [n for n in kinds if (numbers[n], kinds[n]) == (number, kind)]
            group = {
                "params": [parameters[name] for name in names],
                "weight_decay": 0.0 if kind == "rest" else weight_decay,
                "kind": kind,
                "number": number,
            }
            groups += [group] * bool(names)
    return groups


def kinds_of(model: nn.Module) -> dict[str, str]:
    """Names of all parameters that are learnt, and the kind of each."""
    embeddings = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters(recurse=False)
    }
    output = getattr(model, "output", None)
    last = {id(p) for p in output.parameters()} if output is not None else set()
    kinds = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            spared = parameter.ndim <= 1 or id(parameter) in embeddings
            decayed = "output" if id(parameter) in last else "hidden"
            kinds[name] = "rest" if spared else decayed
    return kinds


def describe_groups(
    optimizer: torch.optim.Optimizer,
    patterns: Sequence[str],
    count: Callable[[torch.Tensor], int] = torch.Tensor.numel,
) -> list[str]:
    """Which group took how many weights, and with what rate and decay: a line each.

    ``count``: how many numbers there are in a tensor of it.

    >>> from slangmod.optim.optimizers import OPTIMIZERS
    >>> groups = parameter_groups(nn.Linear(3, 2), 0.1, ["bias"])
    >>> describe_groups(OPTIMIZERS["sgd"](groups, 0.5), ["bias"])
    ... # doctest: +NORMALIZE_WHITESPACE
    ['group 1 "bias": 1 tensor, 2 weights, learning_rate 0.5, weight_decay 0',
     'all others: 1 tensor, 6 weights, learning_rate 0.5, weight_decay 0.1']
    """
    lines = []
    for number in (*range(1, len(patterns) + 1), 0):
        groups = [
            one for one in optimizer.param_groups if one.get("number", 0) == number
        ]
        if not groups:
            continue
        tensors = [tensor for one in groups for tensor in one["params"]]
        name = f'group {number} "{patterns[number - 1]}"' if number else "all others"
        weights = f"{sum(count(tensor) for tensor in tensors):,}".replace(",", " ")
        line = f"{name}: {len(tensors)} tensor{'s' * (len(tensors) != 1)}, "
        line += f"{weights} weights, learning_rate {groups[0]['lr']:g}"
        decays = sorted(
            {one["weight_decay"] for one in groups if "weight_decay" in one}
        )
        if decays:
            line += f", weight_decay {' and '.join(f'{one:g}' for one in decays)}"
        lines.append(line)
    return lines
