"""The decoder-only transformer, put together from parts that others have built."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from slangmod.errors import UserError
from slangmod.model.attention import Attention, Remember
from slangmod.model.cache import Cache
from slangmod.model.dropout import Dropout
from slangmod.model.feedforward import FeedForward
from slangmod.model.positions import Placement, Positions
from slangmod.model.products import Linear, Product, plain_product
from slangmod.model.sight import ALL_BEFORE, Sight, document_begins, sights_of
from slangmod.parallel.shards import Shards


class Layer(nn.Module):
    """Attention, then feed-forward: [batch, seq, dim] -> [batch, seq, dim].

    ``norm_first``: what each half reads is normalised, and the residual stream runs
    through unchanged (Xiong et al. 2020); else the sum is normalised (Vaswani et al.).
    """

    def __init__(
        self,
        attention_norm: nn.Module,
        attention: Attention,
        feedforward_norm: nn.Module,
        feedforward: FeedForward,
        *,
        norm_first: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention_norm = attention_norm
        self.attention = attention
        self.feedforward_norm = feedforward_norm
        self.feedforward = feedforward
        self.norm_first = norm_first
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        place: Placement,
        remember: Remember | None,
        sight: Sight = ALL_BEFORE,
    ) -> Tensor:
        """One layer further along the residual stream."""
        drop = self.dropout
        if self.norm_first:
            x = x + drop(self.attention(self.attention_norm(x), place, remember, sight))
            x = x + drop(self.feedforward(self.feedforward_norm(x)))
        else:
            x = self.attention_norm(x + drop(self.attention(x, place, remember, sight)))
            x = self.feedforward_norm(x + drop(self.feedforward(x)))
        return x


class Transformer(nn.Module):
    """Token ids in, logits of each next token out; causal everywhere.

    Dropout falls on the embedded input, on attention weights, and on what each half
    layer adds to the residual stream. ``norm`` ends the pre-norm stream (None after
    post-norm layers, whose output is normalised already); ``output`` is None where the
    embedding predicts too, ``softcap`` where logits are unbounded, ``document_end``,
    the end symbol, where tokens may look at other documents. ``config`` is all that
    ``load_model`` needs to build the same again.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        positions: Positions,
        layers: list[Layer],
        norm: nn.Module | None,
        output: nn.Linear | None,
        *,
        dropout: float,
        softcap: float | None,
        context: int,
        document_end: int | None,
        config: dict[str, Any],
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.positions = positions
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(layers)
        self.norm = norm
        self.output = output
        self.softcap = softcap
        self.context = context
        self.document_end = document_end
        self.config = config
        self.product: Product = plain_product
        self.shards: Shards | None = None
        """where several processes have some rows of it each"""

    def forward(self, ids: Tensor) -> Tensor:
        """[batch, seq] int64 -> [batch, seq, vocab]; seq is at most ``context``."""
        return self.head(self.hidden(ids))

    def step(self, ids: Tensor, cache: Cache) -> Tensor:
        """Logits of ``new`` tokens after those in ``cache``, which then holds both.

        [batch, new] int64 -> [batch, new, vocab].
        """
        return self.head(self.hidden(ids, cache))

    def hidden(
        self, ids: Tensor, cache: Cache | None = None, *, recompute: bool = False
    ) -> Tensor:
        """[batch, seq] -> [batch, seq, dim], ready for ``head``.

        ``recompute``: of each layer only what it reads is kept for the way back, and
        all else computed again (Chen et al. 2016), with the same dropout.
        Raises UserError if that would reach beyond ``context``.
        """
        start = 0 if cache is None else cache.length
        stop = start + ids.shape[1]
        if stop > self.context:
            raise UserError(
                f"ids: {stop} tokens, but the model sees {self.context}; "
                "shorten the input or raise model.context"
            )
        begins = self.begins(ids, start, cache)
        place = self.positions(start, stop, begins)
        x: Tensor = self.embedding(ids) * self.positions.embedding_scale
        if place.at_input is not None:
            x = x + place.at_input
        x = self.dropout(x)
        x = self.through_layers(x, place, begins, cache, recompute=recompute)
        if cache is not None:
            cache.length = stop
        return x if self.norm is None else self.norm(x)

    def through_layers(
        self,
        x: Tensor,
        place: Placement,
        begins: Tensor | None,
        cache: Cache | None,
        *,
        recompute: bool,
    ) -> Tensor:
        """The residual stream after all layers: [batch, seq, dim] -> the same."""
        new = x.shape[1]
        seen = new if cache is None else cache.length + new
        layers = list(self.each_layer())
        windows = {layer.attention.window for layer in layers}
        sights = sights_of(windows, begins, new, seen, x.device)
        for index, layer in enumerate(layers):
            sight = sights[layer.attention.window]
            if recompute and torch.is_grad_enabled():
                x = checkpoint(layer, x, place, None, sight, use_reentrant=False)
            else:
                writer = None if cache is None else cache.writer(index)
                x = layer(x, place, writer, sight)
        return x

    def each_layer(self) -> Iterator[Layer]:
        """The layers in order."""
        for layer in self.layers:
            assert isinstance(layer, Layer)
            yield layer

    def begins(self, ids: Tensor, start: int, cache: Cache | None) -> Tensor | None:
        """Where the document of each token begins; None where that does not matter."""
        if self.document_end is None:
            return None
        last = None if cache is None or start == 0 else cache.begins
        begins = document_begins(ids, self.document_end, start, last)
        if cache is not None:
            cache.begins = begins[:, -1:]
        return begins

    def set_dropout(self, share: float) -> None:
        """Drop ``share`` of the activations from now on, wherever any are dropped."""
        for module in self.modules():
            if isinstance(module, Dropout):
                module.share = share
            elif isinstance(module, Attention):
                module.dropout = share

    def set_product(self, product: Product) -> None:
        """Compute the products of all linear maps in float32 by ``product``."""
        self.product = product
        for module in self.modules():
            if isinstance(module, Linear):
                module.product = product

    def new_cache(self, batch: int, capacity: int) -> Cache:
        """Room for ``capacity`` tokens of each of ``batch`` sequences."""
        shapes = [
            (batch, layer.attention.n_kv_heads, capacity, layer.attention.head)
            for layer in self.each_layer()
        ]
        dtype = self.embedding.weight.dtype
        return Cache(shapes, torch.empty(0, dtype=dtype, device=self.device))

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        shards = self.shards
        return self.embedding.weight.device if shards is None else shards.device

    @property
    def predictor(self) -> Tensor:
        """[vocab, dim]: the matrix that makes logits of what ``hidden`` gives."""
        matrix = self.embedding if self.output is None else self.output
        return matrix.weight

    def head(self, hidden: Tensor) -> Tensor:
        """[.., dim] -> [.., vocab]: logits, within +-softcap where there is one."""
        return self.capped(functional.linear(hidden, self.predictor))

    def capped(self, logits: Tensor) -> Tensor:
        """``logits``, within +-softcap where there is one."""
        if self.softcap is None:
            return logits
        return self.softcap * (logits.float() / self.softcap).tanh()
