"""The weights of a model by name and shape, known from its settings alone.

Names and order are those of the model that is built from the same settings, so that
they can be counted, and matched by patterns, before anything is built.
"""

import math
from collections.abc import Iterator
from itertools import starmap
from typing import Final

from slangmod.settings.per_layer import layers_of
from slangmod.settings.sections import FeedForward, Model

Shape = tuple[int, ...]
Named = Iterator[tuple[str, Shape]]

EMBEDDINGS, POSITIONS, ATTENTION, FEED_FORWARD, NORMS, OUTPUT = PARTS = (
    "embeddings",
    "positions",
    "attention",
    "feed-forward",
    "norms",
    "output",
)
"""What weights belong to; "output" has none where the embedding predicts, too."""

HIDDEN, REST = "hidden", "rest"
"""Kinds of weights, besides OUTPUT, as optimizers tell them apart."""

FACTOR_OF_DOWN: Final = {"vanilla": 1, "glu": 1, "grn": 2}
"""Outputs of the second projection over dim, by flavor."""


def tensors_of(model: Model, vocab: int) -> dict[str, Shape]:
    """Names and shapes of all weights that are learnt, in the model's own order.

    A matrix that both embeds and predicts is there once. What a class of others, given
    as an activation, may learn itself is not known here and is left out.
    """
    return dict(_model(model, vocab))


def part_of(name: str) -> str:
    """Which of PARTS a weight belongs to, from its name.

    >>> part_of("layers.0.attention.qkv.weight"), part_of("embedding.weight")
    ('attention', 'embeddings')
    """
    words = name.split(".")
    if any(word.endswith("norm") for word in words):
        return NORMS
    if words[0] == "layers":
        return ATTENTION if words[2] == "attention" else FEED_FORWARD
    return {"embedding": EMBEDDINGS, "positions": POSITIONS}.get(words[0], OUTPUT)


def kind_of(name: str, shape: Shape) -> str:
    """How optimizers treat a weight: as "hidden" matrix, as "output", as "rest".

    "rest" are norms, biases and all that is looked up, of which none decays.
    """
    part = part_of(name)
    if len(shape) < 2 or part in (EMBEDDINGS, POSITIONS):
        return REST
    return OUTPUT if part == OUTPUT else HIDDEN


def kinds_of(model: Model, vocab: int) -> dict[str, str]:
    """The kind of every weight, by name, in the model's own order."""
    tensors = tensors_of(model, vocab)
    return dict(zip(tensors, starmap(kind_of, tensors.items()), strict=True))


def parameters_by_part(model: Model, vocab: int) -> dict[str, int]:
    """How many numbers each of PARTS learns."""
    counts = dict.fromkeys(PARTS, 0)
    for name, shape in tensors_of(model, vocab).items():
        counts[part_of(name)] += math.prod(shape)
    return counts


def count_parameters(model: Model, vocab: int) -> int:
    """How many numbers the model learns."""
    return sum(map(math.prod, tensors_of(model, vocab).values()))


def weights_by_place(model: Model, vocab: int) -> tuple[int, int]:
    """Bytes of float32 weights: of the largest layer, and of all outside of layers."""
    layers: dict[str, int] = {}
    for name, shape in tensors_of(model, vocab).items():
        first, number, *_ = [*name.split("."), ""]
        place = number if first == "layers" else ""
        layers[place] = layers.get(place, 0) + 4 * math.prod(shape)
    outside = layers.pop("")
    return max(layers.values()), outside


def hidden_width(dim: int, part: FeedForward) -> int:
    """Outputs of the first feed-forward projection; of "glu" an even number.

    >>> hidden_width(10, FeedForward(factor=2.55))
    26
    """
    if part.flavor == "glu":
        return 2 * max(1, round(part.factor * dim / 2))
    return max(1, round(part.factor * dim))


def _model(model: Model, vocab: int) -> Named:
    yield "embedding.weight", (vocab, model.dim)
    if model.positions == "learnable":
        yield "positions.embedding.weight", (model.context, model.dim)
    for number, layer in enumerate(layers_of(model)):
        for name, shape in _layer(layer):
            yield f"layers.{number}.{name}", shape
    if model.norm_first:
        yield from _norm("norm", model)
    if not model.tie_embeddings:
        yield "output.weight", (vocab, model.dim)


def _layer(layer: Model) -> Named:
    dim, part = layer.dim, layer.feedforward
    head = dim // layer.n_heads
    heads = layer.n_heads + 2 * (layer.n_kv_heads or layer.n_heads)
    yield from _norm("attention_norm", layer)
    yield from _linear("attention.qkv", heads * head, dim, layer.attn_bias)
    if layer.qk_norm:
        yield "attention.query_norm.weight", (head,)
        yield "attention.key_norm.weight", (head,)
    yield from _linear("attention.output", dim, dim, layer.attn_bias)
    yield from _norm("feedforward_norm", layer)
    hidden = hidden_width(dim, part)
    yield from _linear("feedforward.up", hidden, dim, part.bias)
    between = hidden // 2 if part.flavor == "glu" else hidden
    outputs = FACTOR_OF_DOWN[part.flavor] * dim
    yield from _linear("feedforward.down", outputs, between, part.bias)


def _linear(name: str, outputs: int, inputs: int, bias: bool) -> Named:
    yield f"{name}.weight", (outputs, inputs)
    if bias:
        yield f"{name}.bias", (outputs,)


def _norm(name: str, model: Model) -> Named:
    yield f"{name}.weight", (model.dim,)
    if model.norm_cls == "layer" and model.norm_bias:
        yield f"{name}.bias", (model.dim,)
