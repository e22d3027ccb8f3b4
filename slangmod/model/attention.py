"""Causal self-attention: each token looks at itself and at what came before."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from slangmod.model.causal import causal_attention
from slangmod.model.dropout import drop
from slangmod.model.positions import Placement, rotate
from slangmod.model.products import Linear
from slangmod.model.sight import ALL_BEFORE, Sight

Remember = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Takes keys and values of new tokens, returns those of all tokens so far."""

EXPLICIT_LIMIT = 512
"""Tokens up to which bfloat16 attention on a CPU is faster as plain products.

The backward pass of PyTorch's fused CPU kernel makes no use of bfloat16 units.
Measured forward and backward on 2 cores (EPYC, avx512_bf16), explicit against fused:
3.7 times as fast at 128 tokens, 1.6 at 256, 2.2 at 512, 0.8 at 1024. With dropout
there is no fused CPU kernel, and plain products win at every length.
"""


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout: float,
    sight: Sight = ALL_BEFORE,
) -> Tensor:
    """Mix values by softmax(query @ key / sqrt(head)), blind to later tokens.

    query: [batch, heads, new, head]; key, value: [batch, kv_heads, seen, head];
    returns [batch, heads, new, head]. The queries are those of the last ``new`` of
    the ``seen`` tokens; ``sight`` says which of those before they look at.
    ``dropout``: share of attention weights dropped.
    Vaswani et al. 2017, section 3.2.1; shared keys: Ainslie et al. 2023, GQA.
    """
    if sight.block:
        return attend_in_blocks(query, key, value, dropout, sight)
    if sight.kept is not None:
        key, value = key[:, :, -sight.kept :], value[:, :, -sight.kept :]
    short = query.dtype == torch.bfloat16 and key.shape[2] <= EXPLICIT_LIMIT
    explicit = query.device.type == "cpu" and (dropout > 0 or short)
    whole = query.shape == key.shape and sight.visible is None and not dropout
    # Uncompiled its loops are operations of their own, and take longer.
    if explicit and whole and torch.compiler.is_compiling():
        return causal_attention(query, key, value)
    kernel = explicit_attention if explicit else fused_attention
    return kernel(query, key, value, dropout, sight.visible)


def attend_in_blocks(
    query: Tensor, key: Tensor, value: Tensor, dropout: float, sight: Sight
) -> Tensor:
    """``attend`` where each block of queries sees its own keys and those before.

    The blocks become rows of a larger batch: seq * 2 * block products instead of
    seq * seq, in one go (Beltagy et al. 2020, Longformer, section 3.1).
    """
    assert sight.visible is not None
    batch, heads, seq, head = query.shape
    blocks = sight.visible.shape[1]
    spare = blocks * sight.block - seq

    def cut(x: Tensor) -> Tensor:
        """[batch, heads, seq, head] -> [batch, blocks, block, heads, head]."""
        x = functional.pad(x.transpose(1, 2), (0, 0, 0, 0, 0, spare))
        return x.reshape(batch, blocks, sight.block, -1, head)

    def with_block_before(x: Tensor) -> Tensor:
        """[batch, heads, seq, head] -> [batch * blocks, heads, 2 * block, head]."""
        x = cut(x)
        before = functional.pad(x[:, :-1], (0, 0, 0, 0, 0, 0, 1, 0))
        return torch.cat((before, x), dim=2).flatten(0, 1).transpose(1, 2)

    visible = sight.visible.expand(batch, -1, -1, -1).flatten(0, 1).unsqueeze(1)
    mixed = attend(
        cut(query).flatten(0, 1).transpose(1, 2),
        with_block_before(key),
        with_block_before(value),
        dropout,
        Sight(visible=visible),
    )
    rows = mixed.transpose(1, 2).reshape(batch, -1, heads, head)
    return rows[:, :seq].transpose(1, 2)


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout: float,
    visible: Tensor | None = None,
) -> Tensor:
    """``attend`` by PyTorch's kernels, which hold no matrix of all pairs.

    ``visible``: bool [1 or batch, 1, new, seen]; None: all up to each query.
    """
    new, seen = query.shape[2], key.shape[2]
    mask = visible
    if visible is None and 1 < new < seen:
        everything = torch.ones(new, seen, dtype=torch.bool, device=query.device)
        mask = everything.tril(seen - new)
    return functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        dropout_p=dropout,
        is_causal=visible is None and 1 < new == seen,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def explicit_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    dropout: float,
    visible: Tensor | None = None,
) -> Tensor:
    """``attend`` by plain matrix products; holds [batch, heads, new, seen].

    ``visible``: bool [1 or batch, 1, new, seen]; None: all up to each query.
    """
    batch, heads, new, head = query.shape
    kv_heads, seen = key.shape[1:3]
    group = heads // kv_heads
    rows = query.reshape(batch * kv_heads, group * new, head)
    keys = key.reshape(batch * kv_heads, seen, head)
    values = value.reshape(batch * kv_heads, seen, head)
    if visible is None:
        future = torch.full(
            (new, seen), float("-inf"), dtype=query.dtype, device=query.device
        ).triu(1 + seen - new)
        scores = torch.baddbmm(
            future.repeat(group, 1), rows, keys.transpose(1, 2), alpha=head**-0.5
        )
    else:
        nothing = rows.new_zeros(1, 1, 1)
        scores = torch.baddbmm(
            nothing, rows, keys.transpose(1, 2), beta=0, alpha=head**-0.5
        )
        unseen = torch.where(visible, 0.0, float("-inf")).to(query.dtype)
        # Each sequence has its own, the same for all its heads.
        apart = scores.view(batch, kv_heads, group, new, seen) + unseen.unsqueeze(1)
        scores = apart.view(scores.shape)
    weights = scores.softmax(dim=-1)
    if dropout > 0:
        weights = drop(weights, dropout)
    return torch.bmm(weights, values).view(batch, heads, new, head)


class Attention(nn.Module):
    """[batch, seq, dim] -> [batch, seq, dim], each position from those up to it.

    ``query_norm`` and ``key_norm`` normalise each head's queries and keys (qk_norm),
    in float32; None leaves them as they are. ``window``: how many tokens it looks at,
    itself included; None: all that came before.
    """

    def __init__(
        self,
        dim: int,
        n_heads: int,
        n_kv_heads: int,
        *,
        bias: bool,
        dropout: float,
        window: int | None,
        query_norm: nn.Module | None,
        key_norm: nn.Module | None,
    ) -> None:
        super().__init__()
        self.head = dim // n_heads
        self.n_kv_heads = n_kv_heads
        self.split = [n_heads, n_kv_heads, n_kv_heads]
        self.dropout = dropout
        self.window = window
        self.qkv = Linear(dim, sum(self.split) * self.head, bias=bias)
        self.query_norm = query_norm
        self.key_norm = key_norm
        self.output = Linear(dim, dim, bias=bias)

    def forward(
        self, x: Tensor, place: Placement, remember: Remember | None, sight: Sight
    ) -> Tensor:
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
        dropout = self.dropout if self.training else 0.0
        mixed = attend(query, key, value, dropout, sight)
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
