"""One token further: what a model does while it writes, and nothing besides.

The work on a single token is so small that calling for it takes as long as doing it.
So whatever is the same for every token is found out once, a layer takes few operations,
and what a half layer adds to the residual stream is added by its last product. The
logits are those of ``Transformer.step``, but for rounding.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from slangmod.model.attention import Attention, attend
from slangmod.model.cache import Cache
from slangmod.model.feedforward import FeedForward, Function, identity
from slangmod.model.positions import Placement
from slangmod.model.sight import Sight, sights_of
from slangmod.model.transformer import Layer, Transformer


class Place(NamedTuple):
    """Where the new token stands."""

    start: int
    """how many tokens are before it in the cache"""
    at_attention: Tensor | None
    """[1 or batch, dim], added to what each attention reads"""
    turns: dict[int, tuple[Tensor, Tensor]]
    """by width of a head: cosines and signed sines, [head] each; {} without rotation"""
    sights: dict[int | None, Sight]
    """what it looks at, by window"""


Half = Callable[[Tensor, Tensor, Place], Tensor]
"""residual stream [batch, dim], what the half layer reads -> their sum, [batch, dim]"""


class Decoder:
    """Reads one new token of each sequence after those in ``cache``.

    For models in evaluation mode. It keeps the tensors of the model's weights, so it
    is to be made anew where these are replaced; values may change.
    """

    def __init__(self, model: Transformer, cache: Cache) -> None:
        self.model = model
        self.cache = cache
        self.norm = identity if model.norm is None else model.norm.forward
        self.predict = product(model.predictor)
        layers = list(model.each_layer())
        self.windows = {layer.attention.window for layer in layers}
        self.layers = [
            layer_decoder(layer, cache, index) for index, layer in enumerate(layers)
        ]

    def read(self, ids: Tensor) -> Tensor:
        """[batch] int64 -> logits [batch, vocab], of what follows each sequence.

        The cache then holds the token too, and must have had room for it.
        """
        model, start = self.model, self.cache.length
        begins = model.begins(ids[:, None], start, self.cache)
        placement = model.positions(start, start + 1, begins)
        x = functional.embedding(ids, model.embedding.weight)
        x = x * model.positions.embedding_scale
        if placement.at_input is not None:
            x = x + alone(placement.at_input)
        place = Place(
            start,
            None if placement.at_attention is None else alone(placement.at_attention),
            turns_of(placement),
            sights_of(self.windows, begins, 1, start + 1, x.device),
        )
        for layer in self.layers:
            x = layer(x, place)
        self.cache.length = start + 1
        return model.capped(self.predict(self.norm(x)))


def alone(x: Tensor) -> Tensor:
    """[1, dim] as it is, [batch, 1, dim] -> [batch, dim]."""
    return x if x.ndim == 2 else x[:, 0]


def turns_of(placement: Placement) -> dict[int, tuple[Tensor, Tensor]]:
    """Tables by which whole heads are turned in two products."""
    return {
        head: (
            torch.cat((cosines, cosines), dim=-1).view(head),
            torch.cat((-sines, sines), dim=-1).view(head),
        )
        for head, (cosines, sines) in (placement.rotation or {}).items()
    }


def layer_decoder(
    layer: Layer, cache: Cache, index: int
) -> Callable[[Tensor, Place], Tensor]:
    """``layer.forward`` for one token: [batch, dim] -> [batch, dim]."""
    attend = attention_decoder(layer.attention, cache, index)
    think = feedforward_decoder(layer.feedforward)
    first, second = layer.attention_norm.forward, layer.feedforward_norm.forward

    def before(x: Tensor, place: Place) -> Tensor:
        x = attend(x, first(x), place)
        return think(x, second(x), place)

    def after(x: Tensor, place: Place) -> Tensor:
        x = first(attend(x, x, place))
        y: Tensor = second(think(x, x, place))
        return y

    return before if layer.norm_first else after


def attention_decoder(attention: Attention, cache: Cache, index: int) -> Half:
    """``attention.forward`` for one token, added to the residual stream."""
    project, add = projection(attention.qkv), addition(attention.output)
    heads, kv_heads, _ = attention.split
    head, keyed, dim = attention.head, heads + kv_heads, heads * attention.head
    norms = attention.query_norm, attention.key_norm

    def half(residual: Tensor, x: Tensor, place: Place) -> Tensor:
        if place.at_attention is not None:
            x = x + place.at_attention
        new = project(x).view(-1, keyed + kv_heads, head)
        turned = new[:, :keyed]
        if norms[0] is not None and norms[1] is not None:
            query, key = turned[:, :heads].float(), turned[:, heads:].float()
            turned = torch.cat((norms[0].forward(query), norms[1].forward(key)), dim=1)
        if place.turns:
            turned, (cosines, sines) = turned.float(), place.turns[head]
            turned = turned * cosines + turned.roll(head // 2, -1) * sines
        turned = turned.to(new.dtype)
        keys, values = cache.keys[index], cache.values[index]
        keys.select(2, place.start).copy_(turned[:, heads:])
        values.select(2, place.start).copy_(new[:, keyed:])
        stop = place.start + 1
        query = turned[:, :heads, None]
        sight = place.sights[attention.window]
        mixed = attend(query, keys[:, :, :stop], values[:, :, :stop], 0.0, sight)
        return add(residual, mixed.reshape(-1, dim))

    return half


def feedforward_decoder(feedforward: FeedForward) -> Half:
    """``feedforward.forward`` for one token, added to the residual stream."""
    project, between = projection(feedforward.up), feedforward.between
    after, down = feedforward.after, projection(feedforward.down)
    add = addition(feedforward.down)

    def straight(residual: Tensor, x: Tensor, _place: Place) -> Tensor:
        return add(residual, between(project(x)))

    def gated(residual: Tensor, x: Tensor, _place: Place) -> Tensor:
        return residual + after(down(between(project(x))))

    return straight if after is identity else gated


def projection(linear: nn.Linear) -> Function:
    """[batch, in] -> [batch, out]."""
    multiply, bias = product(linear.weight), linear.bias
    return multiply if bias is None else lambda x: multiply(x) + bias


def addition(linear: nn.Linear) -> Callable[[Tensor, Tensor], Tensor]:
    """[batch, out], [batch, in] -> the first plus the projection of the second."""
    multiply, bias = product(linear.weight), linear.bias
    if bias is None:
        return lambda residual, x: residual + multiply(x)
    return lambda residual, x: residual + multiply(x) + bias


def product(weight: Tensor) -> Function:
    """x [batch, in] -> x @ weight.T [batch, out], for weight [out, in].

    A single row is taken as the sum of a bag: of all rows of weight.T, each as often as
    x says. That goes through memory once, in order, and as fast as memory is, where
    products of matrices take twice as long; it needs a weight stored by columns.
    """
    matrix = weight.t()
    fast = weight.device.type == "cpu" and weight.dtype == torch.float32
    if not (fast and matrix.is_contiguous() and has_bags()):
        return lambda x: torch.mm(x, matrix)
    rows, begin = torch.arange(len(matrix)), torch.zeros(1, dtype=torch.int64)

    def multiply(x: Tensor) -> Tensor:
        if len(x) > 1:
            return torch.mm(x, matrix)
        return torch.embedding_bag(matrix, rows, begin, per_sample_weights=x.view(-1))[
            0
        ]

    return multiply


def has_bags() -> bool:
    """Whether torch has FBGEMM here, which adds up bags at the speed of memory."""
    return "fbgemm" in torch.backends.quantized.supported_engines
