"""Causal self-attention: each token looks at itself and at what came before."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from slangmod.model.causal import causal_attention
from slangmod.model.dropout import drop
from slangmod.model.positions import Placement, rotate
from slangmod.model.products import Linear

Remember = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Takes keys and values of new tokens, returns those of all tokens so far."""

EXPLICIT_LIMIT = 512
"""Tokens up to which bfloat16 attention on a CPU is faster as plain products.

The backward pass of PyTorch's fused CPU kernel makes no use of bfloat16 units.
Measured forward and backward on 2 cores (EPYC, avx512_bf16), explicit against fused:
3.7 times as fast at 128 tokens, 1.6 at 256, 2.2 at 512, 0.8 at 1024. With dropout
there is no fused CPU kernel, and plain products win at every length.
"""


def attend(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
    """Mix values by softmax(query @ key / sqrt(head)), blind to later tokens.

    query: [batch, heads, new, head]; key, value: [batch, kv_heads, seen, head];
    returns [batch, heads, new, head]. The queries are those of the last ``new`` of
    the ``seen`` tokens. ``dropout``: share of attention weights dropped.
    Vaswani et al. 2017, section 3.2.1; shared keys: Ainslie et al. 2023, GQA.
    """
    short = query.dtype == torch.bfloat16 and key.shape[2] <= EXPLICIT_LIMIT
    if query.device.type == "cpu" and (dropout > 0 or short):
        # Uncompiled its loops are operations of their own, and take longer.
        whole = query.shape == key.shape and not dropout
        if whole and torch.compiler.is_compiling():
            return causal_attention(query, key, value)
        return explicit_attention(query, key, value, dropout)
    return fused_attention(query, key, value, dropout)


def fused_attention(
    query: Tensor, key: Tensor, value: Tensor, dropout: float
) -> Tensor:
    """``attend`` by PyTorch's kernels, which hold no matrix of all pairs."""
    new, seen = query.shape[2], key.shape[2]
    mask = None
    if 1 < new < seen:
        everything = torch.ones(new, seen, dtype=torch.bool, device=query.device)
        mask = everything.tril(seen - new)
    return functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        dropout_p=dropout,
        is_causal=1 < new == seen,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def explicit_attention(
    query: Tensor, key: Tensor, value: Tensor, dropout: float
) -> Tensor:
    """``attend`` by plain matrix products; holds [batch, heads, new, seen]."""
    batch, heads, new, head = query.shape
    kv_heads, seen = key.shape[1:3]
    group = heads // kv_heads
    rows = query.reshape(batch * kv_heads, group * new, head)
    keys = key.reshape(batch * kv_heads, seen, head)
    values = value.reshape(batch * kv_heads, seen, head)
    future = torch.full(
        (new, seen), float("-inf"), dtype=query.dtype, device=query.device
    ).triu(1 + seen - new)
    scores = torch.baddbmm(
        future.repeat(group, 1), rows, keys.transpose(1, 2), alpha=head**-0.5
    )
    weights = scores.softmax(dim=-1)
    if dropout > 0:
        weights = drop(weights, dropout)
    return torch.bmm(weights, values).view(batch, heads, new, head)


class Attention(nn.Module):
    """[batch, seq, dim] -> [batch, seq, dim], each position from those up to it.

    ``query_norm`` and ``key_norm`` normalise each head's queries and keys (qk_norm),
    in float32; None leaves them as they are.
    """

    def __init__(
        self,
        dim: int,
        n_heads: int,
        n_kv_heads: int,
        *,
        bias: bool,
        dropout: float,
        query_norm: nn.Module | None,
        key_norm: nn.Module | None,
    ) -> None:
        super().__init__()
        self.head = dim // n_heads
        self.n_kv_heads = n_kv_heads
        self.split = [n_heads, n_kv_heads, n_kv_heads]
        self.dropout = dropout
        self.qkv = Linear(dim, sum(self.split) * self.head, bias=bias)
        self.query_norm = query_norm
        self.key_norm = key_norm
        self.output = Linear(dim, dim, bias=bias)

    def forward(self, x: Tensor, place: Placement, remember: Remember | None) -> Tensor:
        """``remember`` is None in training: all there is to see is in ``x``."""
        batch, seq, dim = x.shape
        if place.at_attention is not None:
            x = x + place.at_attention
        heads = self.qkv(x).view(batch, seq, -1, self.head)
        query, key, value = heads.split(self.split, dim=2)
        query = self.placed(query, self.query_norm, place).transpose(1, 2)
        key = self.placed(key, self.key_norm, place).transpose(1, 2)
        value = value.transpose(1, 2)
        if remember is not None:
            key, value = remember(key, value)
        mixed = attend(query, key, value, self.dropout if self.training else 0.0)
        output: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, seq, dim))
        return output

    def placed(self, heads: Tensor, norm: nn.Module | None, place: Placement) -> Tensor:
        """Queries or keys, normalised and turned as asked for, in their own type."""
        dtype = heads.dtype
        if norm is not None:
            heads = norm(heads.float())
        if place.rotation is not None:
            heads = rotate(heads, *place.rotation[self.head])
        return heads.to(dtype)
