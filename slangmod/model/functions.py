"""Activations and gates of others: classes that must keep what a model promises."""

import warnings
from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor, nn

from slangmod.errors import SettingsError
from slangmod.model.feedforward import Function
from slangmod.plugins import in_one_line, load_class
from slangmod.settings.plugins import functions_named
from slangmod.settings.sections import Model

SAMPLE: Final = (2, 4, 6)
"""[batch, seq, features] of what a function is tried on."""


def functions_of(model: Model, allow: Iterable[str]) -> dict[str, Function]:
    """The functions that ``model`` refers to as classes, by reference.

    Raises SettingsError if one is not in ``allow`` or cannot be used.
    """
    packages = tuple(allow)
    return {
        word: function_of(key, word, packages) for key, word in functions_named(model)
    }


def function_of(key: str, word: str, allow: Iterable[str]) -> nn.Module:
    """An instance of the class ``word`` that setting ``key`` refers to.

    It maps each token by itself to something of the same shape, and learns nothing:
    weights are drawn by our own initialisation, which knows ours only.
    """
    place = f'{key} = "{word}"'
    found = load_class(key, word, allow, nn.Module)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            function = found()
        except Exception as error:  # whatever the class raises
            raise SettingsError(
                f"{place}: cannot be made without arguments: {in_one_line(error)}"
            ) from error
        if any(True for _ in (*function.parameters(), *function.buffers())):
            raise SettingsError(
                f"{place}: has weights of its own; choose another class"
            )
        try:
            fault = fault_of(function)
        except Exception as error:  # whatever the class raises
            raise SettingsError(
                f"{place}: a trial on a small tensor fails: {in_one_line(error)}"
            ) from error
    if fault:
        raise SettingsError(f"{place}: {fault}; choose another class")
    return function.train()


@torch.no_grad()
def fault_of(function: nn.Module) -> str:
    """What is wrong with ``function`` as it is in evaluation; empty if nothing."""
    function.eval()
    x = torch.linspace(-2, 2, 48).reshape(SAMPLE)
    y = function(x.clone())
    if not isinstance(y, Tensor) or not y.is_floating_point():
        return "does not give a tensor of numbers"
    if y.shape != x.shape:
        return f"makes {list(y.shape)} of {list(x.shape)}; the shape must stay"
    for sequence in range(x.shape[0]):
        for place in range(x.shape[1]):
            token = slice(sequence, sequence + 1), slice(place, place + 1)
            if not torch.allclose(function(x[token].clone()), y[token], equal_nan=True):
                return "mixes tokens, and later ones must not be seen"
    return ""
