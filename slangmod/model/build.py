"""From settings to a model: parts chosen from their tables, weights drawn."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from slangmod.model.attention import Attention
from slangmod.model.empty import embedding, give_memory
from slangmod.model.feedforward import ACTIVATIONS, FLAVORS, GATES, Function
from slangmod.model.functions import functions_of
from slangmod.model.norms import NORMS
from slangmod.model.positions import POSITIONS
from slangmod.model.transformer import Layer, Transformer
from slangmod.settings.per_layer import layers_of
from slangmod.settings.sections import Model, Settings

DOCUMENT_END = "document_end"
"""What config.json calls the end symbol of a model that keeps documents apart."""


def build_model(settings: Settings, vocab: int, end: int | None = None) -> Transformer:
    """A fresh model for ``vocab`` token ids: on the CPU, float32, in training mode.

    ``end``: id of the end symbol, which a model that keeps documents apart has to know.
    Weights are drawn from torch's default generator; whoever calls has seeded it.
    """
    apart = settings.data.packing == "mask"
    assert end is not None or not apart
    end = end if apart else None
    model = assemble(settings.model, vocab, settings.plugins.allow, end)
    initialise(model, zeros=settings.model.zero_init)
    return model


def assemble(
    section: Model, vocab: int, allow: Iterable[str] = (), end: int | None = None
) -> Transformer:
    """The model on the CPU with its tables of positions; its weights are not set."""
    model = skeleton(section, vocab, allow, end)
    give_memory(model)
    model.positions.fill()
    return model


def skeleton(
    section: Model, vocab: int, allow: Iterable[str] = (), end: int | None = None
) -> Transformer:
    """The model without memory: names, shapes and types of its weights.

    ``allow``: packages from which activations and gates may be imported. ``end``: the
    end symbol, where tokens see their own document alone. Raises SettingsError if a
    class of another package, or one that is not sound, is asked for.
    """
    dim = section.dim
    norm = NORMS[section.norm_cls]
    layers = layers_of(section)
    heads = dict.fromkeys(dim // one.n_heads for one in layers)
    functions = functions_of(section, allow)
    apart = {} if end is None else {DOCUMENT_END: end}
    with torch.device("meta"):
        return Transformer(
            embedding(vocab, dim, scale_grad_by_freq=section.scale_grad_by_freq),
            POSITIONS[section.positions](section.context, dim, heads),
            [layer(one, functions) for one in layers],
            norm(dim, section.norm_bias) if section.norm_first else None,
            None if section.tie_embeddings else nn.Linear(dim, vocab, bias=False),
            dropout=section.dropout,
            softcap=section.logit_softcap,
            context=section.context,
            document_end=end,
            config={"vocab": vocab, **apart, "model": described(section)},
        )


def described(section: Model) -> dict[str, Any]:
    """``section`` as config.json has it: what makes the model, ready for JSON."""
    left_out = {"compile", "zero_init", *(() if section.layer else ("layer",))}
    found = section.model_dump(mode="json", exclude=left_out)
    for table in (found, *found.get("layer", ())):
        # Models were described before there were windows.
        if table["attention_window"] is None:
            del table["attention_window"]
    return found


def layer(section: Model, functions: Mapping[str, Function]) -> Layer:
    """One layer as ``section`` has it; ``functions`` are those that tables have not."""
    norm, dim = NORMS[section.norm_cls], section.dim
    head = dim // section.n_heads
    part = section.feedforward
    return Layer(
        norm(dim, section.norm_bias),
        Attention(
            dim,
            section.n_heads,
            section.n_kv_heads or section.n_heads,
            bias=section.attn_bias,
            dropout=section.dropout,
            window=section.attention_window,
            query_norm=norm(head, False) if section.qk_norm else None,
            key_norm=norm(head, False) if section.qk_norm else None,
        ),
        norm(dim, section.norm_bias),
        FLAVORS[part.flavor](
            dim,
            part.factor,
            {**ACTIVATIONS, **functions}[part.activation],
            {**GATES, **functions}[part.gate],
            part.bias,
        ),
        norm_first=section.norm_first,
        dropout=section.dropout,
    )


Fill = Callable[[Tensor], object]
"""Sets the values of a whole weight, in place."""


@torch.no_grad()
def initialise(model: Transformer, *, zeros: bool = False) -> None:
    """Draw all weights anew from torch's default generator; see ``first_values``."""
    for module, key, fill in first_values(model, zeros=zeros):
        fill(getattr(module, key))


def first_values(
    model: Transformer, *, zeros: bool = False
) -> Iterator[tuple[nn.Module, str, Fill]]:
    """What makes each weight: its module, its name there, and how it is drawn.

    Projections: normal with variance 1 / (3 * fan in), which at width 768 is the 0.02
    of GPT-2 and keeps the scale of what passes through at every width. Those that
    add to the residual stream are divided by sqrt(2 * layers), so that the sum of all
    branches stays as large as one (Radford et al. 2019). Norms begin as plain
    normalisation, biases as 0. With ``zeros``, those that add to the residual stream
    begin as 0, too (as in Zhang et al. 2019, Fixup): all other draws stay the same.

    Embeddings, and the output where it is apart, have deviation 1 / (4 * sqrt(dim)):
    logits then deviate by 1/4, and the loss starts close to ln(vocab). Were they
    larger, a tied model would begin by expecting the very token it has just read.
    """
    after = changes_after(model, zeros=zeros)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            deviation = (3 * module.in_features) ** -0.5
            yield module, "weight", drawn(deviation, after.get(id(module)))
            if module.bias is not None:
                yield module, "bias", nn.init.zeros_
        elif isinstance(module, nn.Embedding):
            yield module, "weight", drawn(0.25 * module.embedding_dim**-0.5)
        elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
            yield module, "weight", nn.init.ones_
            if getattr(module, "bias", None) is not None:
                yield module, "bias", nn.init.zeros_


def changes_after(model: Transformer, *, zeros: bool) -> dict[int, Fill]:
    """What is done to some projections once they are drawn, by id of the module."""
    depth = math.sqrt(2 * len(model.layers))
    shrink: Fill = Tensor.zero_ if zeros else lambda weight: weight.div_(depth)
    after: dict[int, Fill] = {}
    for layer in model.each_layer():
        after |= {
            id(layer.attention.output): shrink,
            id(layer.feedforward.down): shrink,
        }
    if model.output is not None:
        after[id(model.output)] = lambda weight: weight.mul_(0.25 * math.sqrt(3))
    return after


def drawn(deviation: float, after: Fill | None = None) -> Fill:
    """Normal values of mean 0, and what is done to them ``after``."""

    def fill(weight: Tensor) -> None:
        nn.init.normal_(weight, std=deviation)
        if after is not None:
            after(weight)

    return fill
