"""Floating-point operations that training takes, from settings alone."""

import math
from fractions import Fraction
from typing import NamedTuple

from slangmod.settings.per_layer import layers_of
from slangmod.settings.sections import Model
from slangmod.settings.tensors import REST, kind_of, tensors_of


class Flops(NamedTuple):
    """Operations of one token, forward and backward."""

    weights: int
    """6 for each weight that multiplies: 2 forward, 4 backward (Kaplan et al., 2020)"""
    attention: int
    """products of queries, keys and values: 12 * dim for each token looked at"""

    @property
    def total(self) -> int:
        """All that is counted."""
        return sum(self)


def flops_of_token(model: Model, vocab: int, seq_len: int) -> Flops:
    """Operations for each token of rows of ``seq_len`` tokens.

    Weights that multiply are all matrices but those that are looked up; where the
    embedding predicts, too, it counts once. Attention takes 2 * 2 * dim operations for
    each token looked at, and twice that on the way back; see ``tokens_seen``. What
    norms, activations, softmax and the optimizer do is not counted, nor what is
    computed twice to save memory, nor that documents may not see each other.

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
    seen = sum(tokens_seen(seq_len, one.attention_window) for one in layers_of(model))
    return Flops(6 * multiply, round(12 * model.dim * seen))


def tokens_seen(seq_len: int, window: int | None) -> Fraction:
    """At how many tokens one of a row looks on average, itself included.

    >>> tokens_seen(3, None), tokens_seen(4, 2)
    (Fraction(2, 1), Fraction(7, 4))
    """
    most = seq_len if window is None else min(window, seq_len)
    return Fraction(most * (2 * seq_len - most + 1), 2 * seq_len)
