"""The decoder-only transformer, put together from parts that others have built."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from slangmod.errors import UserError
from slangmod.model.attention import Attention, Remember
from slangmod.model.cache import Cache
from slangmod.model.dropout import Dropout
from slangmod.model.feedforward import FeedForward
from slangmod.model.positions import Placement, Positions


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

    def forward(self, x: Tensor, place: Placement, remember: Remember | None) -> Tensor:
        """One layer further along the residual stream."""
        drop = self.dropout
        if self.norm_first:
            x = x + drop(self.attention(self.attention_norm(x), place, remember))
            x = x + drop(self.feedforward(self.feedforward_norm(x)))
        else:
            x = self.attention_norm(x + drop(self.attention(x, place, remember)))
            x = self.feedforward_norm(x + drop(self.feedforward(x)))
        return x


class Transformer(nn.Module):
    """Token ids in, logits of each next token out; causal everywhere.

    Dropout falls on the embedded input, on attention weights, and on what each half
    layer adds to the residual stream. ``norm`` ends the pre-norm stream (None after
    post-norm layers, whose output is normalised already); ``output`` is None where the
    embedding predicts too, ``softcap`` where logits are unbounded, and ``config`` is
    all that ``load_model`` needs to build the same again.
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
        self.config = config

    def forward(self, ids: Tensor) -> Tensor:
        """[batch, seq] int64 -> [batch, seq, vocab]; seq is at most ``context``."""
        return self.head(self.hidden(ids))

    def step(self, ids: Tensor, cache: Cache) -> Tensor:
        """Logits of ``new`` tokens after those in ``cache``, which then holds both.

        [batch, new] int64 -> [batch, new, vocab].
        """
        return self.head(self.hidden(ids, cache))

    def hidden(self, ids: Tensor, cache: Cache | None = None) -> Tensor:
        """[batch, seq] -> [batch, seq, dim], ready for ``head``.

        Raises UserError if that would reach beyond ``context``.
        """
        start = 0 if cache is None else cache.length
        stop = start + ids.shape[1]
        if stop > self.context:
            raise UserError(
                f"ids: {stop} tokens, but the model sees {self.context}; "
                "shorten the input or raise model.context"
            )
        place = self.positions(start, stop)
        x: Tensor = self.embedding(ids) * self.positions.embedding_scale
        if place.at_input is not None:
            x = x + place.at_input
        x = self.dropout(x)
        for index, layer in enumerate(self.layers):
            x = layer(x, place, None if cache is None else cache.writer(index))
        if cache is not None:
            cache.length = stop
        if self.norm is not None:
            x = self.norm(x)
        return x

    def set_dropout(self, share: float) -> None:
        """Drop ``share`` of the activations from now on, wherever any are dropped."""
        for module in self.modules():
            if isinstance(module, Dropout):
                module.share = share
            elif isinstance(module, Attention):
                module.dropout = share

    def new_cache(self, batch: int, capacity: int) -> Cache:
        """Room for ``capacity`` tokens of each of ``batch`` sequences."""
        shapes = []
        for layer in self.layers:
            assert isinstance(layer, Layer)
            attention = layer.attention
            shapes.append((batch, attention.n_kv_heads, capacity, attention.head))
        return Cache(shapes, like=self.embedding.weight)

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
