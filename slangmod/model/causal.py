"""Causal attention by plain products that leave out most of what is never seen.

Queries are taken in blocks, and each block looks no further than its own last token: of
256 tokens in two blocks, a quarter of all products falls away, of 512 in four three
eighths. The gradient is written down rather than derived, so that the compiler has
nothing to make of it but products and one loop each over the weights.
"""

from collections.abc import Iterator
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK: Final = 128
"""Queries of a block."""


def blocks(tokens: int) -> Iterator[tuple[int, int]]:
    """First query of each block, and the token before which it stops looking."""
    for begin in range(0, tokens, BLOCK):
        yield begin, min(begin + BLOCK, tokens)


def blindness(begin: int, end: int, like: Tensor) -> Tensor:
    """[end - begin, end]: -inf where a key comes after the query, else 0."""
    shape = end - begin, end
    far = torch.full(shape, float("-inf"), dtype=like.dtype, device=like.device)
    return far.triu(1 + begin)


class _CausalAttention(torch.autograd.Function):
    """softmax(query @ key) @ value, [n, tokens, head] each; queries are scaled.

    With weights w and gradient g: ``dvalue = w.T @ g``; of ``d = g @ value.T`` the
    softmax leaves ``s = w * (d - sum(d * w))``; ``dquery = s @ key``, ``dkey = s.T @
    query``.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        weights, mixed = [], []
        for begin, end in blocks(query.shape[1]):
            scores = torch.bmm(query[:, begin:end], key[:, :end].transpose(1, 2))
            scores = scores.float() + blindness(begin, end, scores).float()
            weights.append(scores.softmax(-1).to(query.dtype))
            mixed.append(torch.bmm(weights[-1], value[:, :end]))
        ctx.save_for_backward(query, key, value, *weights)
        return torch.cat(mixed, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, *weights = ctx.saved_tensors
        d_query, d_key, d_value = [], torch.zeros_like(key), torch.zeros_like(value)
        for (begin, end), weight in zip(blocks(query.shape[1]), weights, strict=True):
            part = slope[:, begin:end]
            d_value[:, :end] += torch.bmm(weight.transpose(1, 2), part)
            d_weight = torch.bmm(part, value[:, :end].transpose(1, 2)).float()
            own = weight.float()
            centred = d_weight - (d_weight * own).sum(-1, keepdim=True)
            d_scores = (own * centred).to(query.dtype)
            d_query.append(torch.bmm(d_scores, key[:, :end]))
            d_key[:, :end] += torch.bmm(d_scores.transpose(1, 2), query[:, begin:end])
        return torch.cat(d_query, 1), d_key, d_value


def causal_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """[batch, heads, tokens, head] each, as many keys as queries -> the same."""
    batch, heads, tokens, head = query.shape
    mixed: Tensor = _CausalAttention.apply(  # type: ignore[no-untyped-call]
        (query * head**-0.5).reshape(batch * heads, tokens, head),
        key.reshape(batch * heads, tokens, head),
        value.reshape(batch * heads, tokens, head),
    )
    return mixed.view(batch, heads, tokens, head)
