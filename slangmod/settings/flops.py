"""Floating-point operations that training takes, from settings alone."""

import math
from typing import NamedTuple

from slangmod.settings.per_layer import layers_of
from slangmod.settings.sections import Model
from slangmod.settings.tensors import REST, kind_of, tensors_of


class Flops(NamedTuple):
    """Operations of one token, forward and backward."""

    weights: int
    """6 for each weight that multiplies: 2 forward, 4 backward (Kaplan et al., 2020)"""
    attention: int
    """products of queries, keys and values: 6 * dim * (seq + 1) in each layer"""

    @property
    def total(self) -> int:
        """All that is counted."""
        return sum(self)


def flops_of_token(model: Model, vocab: int, seq_len: int) -> Flops:
    """Operations for each token of rows of ``seq_len`` tokens.

    Weights that multiply are all matrices but those that are looked up; where the
    embedding predicts, too, it counts once. Attention looks back at (seq + 1) / 2
    tokens on average, with 2 * 2 * dim operations for each, and twice that on the way
    back. What norms, activations, softmax and the optimizer do is not counted.

    >>> flops_of_token(Model(dim=8, n_heads=1, n_layers=1), vocab=10, seq_len=3)
    Flops(weights=5088, attention=192)
    """
    multiply = sum(
        math.prod(shape)
        for name, shape in tensors_of(model, vocab).items()
        if kind_of(name, shape) != REST
    )
    if model.tie_embeddings:
        multiply += vocab * model.dim
    layers = len(layers_of(model))
    return Flops(6 * multiply, 6 * model.dim * (seq_len + 1) * layers)
