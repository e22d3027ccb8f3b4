"""Beam search: several continuations at once, the likeliest of which wins."""

import math
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

import torch
from torch import Tensor

from slangmod.generation.reader import Reader


class Beam(NamedTuple):
    """One continuation of the prompt."""

    ids: list[int]
    """the end symbol included, where it is reached"""
    total: float
    """sum of log-probabilities, in nats"""
    row: int
    """of the batch that it grew from"""


def beam_search(
    reader: Reader,
    prompt: Sequence[int],
    *,
    end: int,
    most: int,
    width: int,
    boost: float,
) -> Iterator[int]:
    """Ids of the best continuation, each as soon as all beams agree on it.

    The best ``width`` by total / length**boost are kept, finished or not, until all
    are finished or ``most`` tokens long; the end symbol counts, and is not given out.
    A higher ``boost`` favours longer texts (after Wu et al. 2016, section 7).
    """

    def worth(beam: Beam) -> float:
        return beam.total / math.pow(len(beam.ids), boost)

    logits = reader.read(torch.tensor([prompt]))
    beams = grown([Beam([], 0.0, 0)], logits, width)
    given = 0
    for _ in range(most - 1):
        agreed = shared_start([beam.ids for beam in beams])
        yield from (token for token in agreed[given:] if token != end)
        given = len(agreed)
        growing = [beam for beam in beams if beam.ids[-1] != end]
        if not growing:
            break
        reader.select(torch.tensor([beam.row for beam in growing]))
        logits = reader.read(torch.tensor([beam.ids[-1:] for beam in growing]))
        done = [beam for beam in beams if beam.ids[-1] == end]
        pool = done + grown(growing, logits, width)
        beams = sorted(pool, key=worth, reverse=True)[:width]
    best = max(beams, key=worth)
    yield from (token for token in best.ids[given:] if token != end)


def grown(beams: list[Beam], logits: Tensor, width: int) -> list[Beam]:
    """The ``width`` likeliest of all beams that are one token longer.

    logits: [beams, vocab], a row for each beam. ``row`` of a grown beam is that of
    the beam it grew from.
    """
    totals = torch.tensor([beam.total for beam in beams], dtype=torch.float64)
    likely = totals[:, None] + logits.double().log_softmax(dim=-1)
    best, places = likely.flatten().topk(min(width, likely.numel()))
    rows, tokens = places // likely.shape[1], places % likely.shape[1]
    return [
        Beam([*beams[row].ids, token], total, row)
        for row, token, total in zip(
            rows.tolist(), tokens.tolist(), best.tolist(), strict=True
        )
    ]


def shared_start(sequences: list[list[int]]) -> list[int]:
    """The longest beginning that all sequences have."""
    columns = takewhile(
        lambda column: len(set(column)) == 1, zip(*sequences, strict=False)
    )
    return [column[0] for column in columns]
