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


def blindness(begin: int, end: int, seen_by: Tensor) -> Tensor:
    """[end - begin, end] float32: -inf where a key comes after the query, else 0."""
    shape = end - begin, end
    return torch.full(shape, float("-inf"), device=seen_by.device).triu(1 + begin)


class _CausalAttention(torch.autograd.Function):
    """softmax(query @ key) @ value, [n, tokens, head] each; queries are scaled.

    Weights are kept as they are before they are divided by their sum, which is done
    with what they mix: e = exp(scores - max), y = e @ value / sum(e). Backward, with g
    the slope of y: d = g / sum(e), dvalue = e.T @ d, and the slope of the scores is
    ``s = e * (d @ value.T - sum(d * y))``; dquery = s @ key, dkey = s.T @ query. That
    sum is over a head, not over tokens (Dao et al. 2022, FlashAttention, appendix B).
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        weights, sums, mixed = [], [], []
        for begin, end in blocks(query.shape[1]):
            scores = torch.bmm(query[:, begin:end], key[:, :end].transpose(1, 2))
            seen = scores.float() + blindness(begin, end, seen_by=scores)
            weight = (seen - seen.amax(-1, keepdim=True)).exp()
            sums.append(weight.sum(-1, keepdim=True))
            weights.append(weight.to(query.dtype))
            part = torch.bmm(weights[-1], value[:, :end])
            mixed.append((part / sums[-1]).to(query.dtype))
        output = torch.cat(mixed, 1)
        ctx.save_for_backward(query, key, value, output, torch.cat(sums, 1), *weights)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, output, sums, *weights = ctx.saved_tensors
        shares = slope / sums
        centres = (shares * output).sum(-1, keepdim=True)
        shares = shares.to(query.dtype)
        d_query, d_key, d_value = [], torch.zeros_like(key), torch.zeros_like(value)
        for (begin, end), weight in zip(blocks(query.shape[1]), weights, strict=True):
            share, centre = shares[:, begin:end], centres[:, begin:end]
            d_value[:, :end] += torch.bmm(weight.transpose(1, 2), share)
            d_weight = torch.bmm(share, value[:, :end].transpose(1, 2)).float()
            d_scores = (weight.float() * (d_weight - centre)).to(query.dtype)
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
