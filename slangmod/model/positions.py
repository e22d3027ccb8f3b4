"""How a model knows where a token stands: four kinds, all computed in float32.

Tables are worked out in float64 and kept in float32, never in the precision of the
matrix products: bfloat16 cannot tell position 257 from 258.

``embedding_scale`` is what token embeddings are multiplied with: sqrt(dim), so that
they are heard beside sinusoids (Vaswani et al. 2017, section 3.4), or 1 where learnt
positions are as small as they are.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from slangmod.model.empty import embedding

BASE = 10_000.0
"""Wavelengths run from 2 pi to BASE * 2 pi tokens."""


class Placement(NamedTuple):
    """Where positions enter the model; what is None does not."""

    # [seq, dim], or [batch, seq, dim] where documents begin at other places in each row
    at_input: Tensor | None = None  # added to the embeddings
    at_attention: Tensor | None = None  # added to what each attention reads
    # by width of a head: cos, sin: [seq, 1, head / 2] each
    rotation: dict[int, tuple[Tensor, Tensor]] | None = None


def angles(context: int, width: int) -> Tensor:
    """position / BASE**(2 i / width) for i < width / 2: [context, ceil(width / 2)]."""
    places = torch.arange(context, dtype=torch.float64, device="cpu")
    pairs = torch.arange(0, width, 2, dtype=torch.float64, device="cpu")
    return places[:, None] * BASE ** (-pairs / width)


def sinusoids(context: int, dim: int) -> Tensor:
    """Sines in even features, cosines in odd ones: [context, dim], float32.

    Vaswani et al. 2017, Attention Is All You Need, section 3.5.
    """
    turns = angles(context, dim)
    waves = torch.stack((turns.sin(), turns.cos()), dim=-1).flatten(1)
    return waves[:, :dim].float()


def rows_of(table: Tensor, start: int, stop: int, begins: Tensor | None) -> Tensor:
    """Rows start .. stop - 1 of [context, dim], or what is left of each after begins.

    ``begins`` [batch, seq]: the place where the document of each token begins, whose
    position is 0. -> [seq, dim], with ``begins`` [batch, seq, dim].
    """
    if begins is None:
        return table[start:stop]
    places = torch.arange(start, stop, device=begins.device)
    return functional.embedding(places - begins, table)


class Sinusoidal(nn.Module):
    """A table of sinusoids, added at the input or before every attention."""

    table: Tensor

    def __init__(self, context: int, dim: int, *, every_layer: bool) -> None:
        super().__init__()
        self.every_layer = every_layer
        self.embedding_scale = math.sqrt(dim)
        self.register_buffer("table", torch.empty(context, dim), persistent=False)

    def fill(self) -> None:
        """Work out the table (anew after the model was given memory)."""
        self.table.copy_(sinusoids(*self.table.shape))

    def forward(self, start: int, stop: int, begins: Tensor | None = None) -> Placement:
        """Positions start .. stop - 1, counted from where documents begin."""
        waves = rows_of(self.table, start, stop, begins)
        if self.every_layer:
            return Placement(at_attention=waves)
        return Placement(at_input=waves)


class Learnable(nn.Module):
    """One learnt vector for each position, added at the input."""

    def __init__(self, context: int, dim: int) -> None:
        super().__init__()
        self.embedding = embedding(context, dim)
        self.embedding_scale = 1.0

    def fill(self) -> None:
        """There is no table: what is learnt is initialised with the other weights."""

    def forward(self, start: int, stop: int, begins: Tensor | None = None) -> Placement:
        """Positions start .. stop - 1, counted from where documents begin."""
        return Placement(at_input=rows_of(self.embedding.weight, start, stop, begins))


class Angles(nn.Module):
    """Cosines and sines of the angles by which heads of one width are turned."""

    cosines: Tensor
    sines: Tensor

    def __init__(self, context: int, head: int) -> None:
        super().__init__()
        self.head = head
        shape = context, 1, head // 2
        self.register_buffer("cosines", torch.empty(shape), persistent=False)
        self.register_buffer("sines", torch.empty(shape), persistent=False)

    def fill(self) -> None:
        """Work out the tables (anew after the model was given memory)."""
        context, _, half = self.cosines.shape
        turns = angles(context, 2 * half)[:, None]
        self.cosines.copy_(turns.cos())
        self.sines.copy_(turns.sin())


class Rotary(nn.Module):
    """Angles by which queries and keys are turned, so that only distances count.

    Su et al. 2021, RoFormer, section 3.2; feature i is paired with i + head / 2. There
    is a table for each of the widths that heads have in some layer.
    """

    def __init__(self, context: int, dim: int, heads: Iterable[int]) -> None:
        super().__init__()
        self.embedding_scale = math.sqrt(dim)
        self.angles = nn.ModuleList(Angles(context, head) for head in heads)

    def tables(self) -> Iterator[Angles]:
        """The tables, one for each width."""
        for table in self.angles:
            assert isinstance(table, Angles)
            yield table

    def fill(self) -> None:
        """Work out the tables (anew after the model was given memory)."""
        for table in self.tables():
            table.fill()

    def forward(
        self, start: int, stop: int, _begins: Tensor | None = None
    ) -> Placement:
        """Positions start .. stop - 1; distances are the same from wherever they count.

        So documents, which do not see each other, need no positions of their own.
        """
        return Placement(
            rotation={
                table.head: (table.cosines[start:stop], table.sines[start:stop])
                for table in self.tables()
            }
        )


def rotate(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn each pair of features: [batch, seq, heads, head] -> the same, float32."""
    first, second = heads.float().chunk(2, dim=-1)
    return torch.cat(
        (first * cosines - second * sines, second * cosines + first * sines), dim=-1
    )


def vanilla(context: int, dim: int, _heads: Iterable[int]) -> Sinusoidal:
    """Sinusoids, once at the input."""
    return Sinusoidal(context, dim, every_layer=False)


def sinusoidal(context: int, dim: int, _heads: Iterable[int]) -> Sinusoidal:
    """Sinusoids, before the attention of every layer."""
    return Sinusoidal(context, dim, every_layer=True)


def learnable(context: int, dim: int, _heads: Iterable[int]) -> Learnable:
    """Learnt vectors, once at the input."""
    return Learnable(context, dim)


def rotary(context: int, dim: int, heads: Iterable[int]) -> Rotary:
    """Queries and keys of every layer are turned."""
    return Rotary(context, dim, heads)


Positions = Sinusoidal | Learnable | Rotary

POSITIONS: dict[str, Callable[[int, int, Iterable[int]], Positions]] = {
    "vanilla": vanilla,
    "learnable": learnable,
    "sinusoidal": sinusoidal,
    "rotary": rotary,
}
"""Each from context (tokens), dim, and all widths that heads have (features)."""
