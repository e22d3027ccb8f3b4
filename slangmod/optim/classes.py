"""Optimizers of others: a class, its arguments, and whether it keeps our promises."""

import inspect
import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from safetensors.torch import load, save
from torch import nn

from slangmod.errors import SettingsError
from slangmod.optim.groups import Groups
from slangmod.optim.state import restore, stored
from slangmod.plugins import in_one_line, load_class
from slangmod.settings.free import FreeTable
from slangmod.settings.sections import Optimizer

TRIAL = 8
"""Steps before and after a miniature is saved and restored."""

Build = Callable[[nn.Module], torch.optim.Optimizer]


def optimizer_class(
    word: str, allow: tuple[str, ...]
) -> Callable[..., torch.optim.Optimizer]:
    """Groups, learning rate and arguments -> an optimizer of the class ``word``.

    The decay of weights comes in with the groups, if the class has ``weight_decay``;
    if not, only no decay and the default, which then means none, are not refused.
    """
    place = "train.optimizer"
    found: Any = load_class(place, word, allow, torch.optim.Optimizer)
    decays = "weight_decay" in inspect.signature(found).parameters

    def make(groups: Groups, rate: float, **options: Any) -> torch.optim.Optimizer:
        if not decays:
            asked = [group.get("weight_decay", 0) for group in groups]
            if any(decay not in (0, Optimizer().weight_decay) for decay in asked):
                raise SettingsError(
                    f'{place} = "{word}": has no weight_decay; leave it out of '
                    "[optimizer] and of its groups"
                )
            groups = [
                {key: value for key, value in group.items() if key != "weight_decay"}
                for group in groups
            ]
        try:
            optimizer: torch.optim.Optimizer = found(groups, lr=rate, **options)
        except Exception as error:  # whatever the class raises
            raise SettingsError(
                f'{place} = "{word}": refuses these weights or options: '
                f"{in_one_line(error)}"
            ) from error
        return optimizer

    return make


def arguments(options: FreeTable) -> dict[str, Any]:
    """``options`` as a class takes them: lists as tuples, tables as dictionaries."""
    return {
        name: value.plain() if isinstance(value, FreeTable) else value
        for name, value in options.items()
    }


def try_out(word: str, build: Build, model: nn.Module, device: torch.device) -> None:
    """Raise SettingsError unless the optimizer that ``build`` makes can be relied on.

    A miniature of ``model`` (which may be on the meta device), all of whose weights
    have sides of 2, takes a few steps with random gradients, is saved and restored as
    a checkpoint does it, and goes on: with the same bits as one that was not. Weights
    whose rate is 0 must stay as they are.
    """
    place = f'train.optimizer = "{word}"'
    whole = miniature(model, device)
    with torch.random.fork_rng(devices=[]):
        first = build(whole)
        before = bits(whole)
        resumed = miniature(model, device)
        second = build(resumed)
        try:
            walk(first, whole, range(TRIAL))
            resumed.load_state_dict(whole.state_dict())
            tensors, scalars = stored(first, whole)
            tensors = load(save(tensors))
            scalars = json.loads(json.dumps(scalars, allow_nan=False))
            restore(second, resumed, tensors, scalars)
            walk(first, whole, range(TRIAL, 2 * TRIAL))
            walk(second, resumed, range(TRIAL, 2 * TRIAL))
        except Exception as error:  # whatever the class raises
            raise SettingsError(
                f"{place}: a trial on small weights fails: {in_one_line(error)}"
            ) from error
    if bits(whole) != bits(resumed):
        raise SettingsError(
            f"{place}: does not go on with the same bits once it was saved: it keeps "
            "something outside of its state; choose another class"
        )
    frozen = {id(p) for g in first.param_groups if not g["lr"] for p in g["params"]}
    for name, parameter in whole.named_parameters():
        if id(parameter) in frozen and bits(whole)[name] != before[name]:
            raise SettingsError(
                f"{place}: moves weights even at a learning rate of 0 ({name}); "
                "give their group another one"
            )


def miniature(model: nn.Module, device: torch.device) -> nn.Module:
    """A copy of ``model`` whose weights have the same names, and sides of 2."""
    copy = deepcopy(model)
    for module in copy.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            values = torch.linspace(-1, 1, 2**weight.ndim, device=device)
            small = nn.Parameter(values.view([2] * weight.ndim), weight.requires_grad)
            setattr(module, name, small)
    return copy


def bits(model: nn.Module) -> dict[str, bytes]:
    """The bytes of all weights."""
    return {name: save({"weight": p.detach()}) for name, p in model.named_parameters()}


def walk(optimizer: torch.optim.Optimizer, model: nn.Module, steps: range) -> None:
    """Take ``steps``, each with its own random gradient and its own rate."""
    for step in steps:
        torch.manual_seed(step)
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * 0.9**step
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
