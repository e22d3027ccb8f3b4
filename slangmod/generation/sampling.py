"""How the next token is chosen when tokens are chosen one by one.

A sampler takes logits [vocab], float32, and returns an id. Chance is a generator that
is handed in; it lives on the CPU, so that equal seeds draw equally on every device.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Sampler = Callable[[Tensor], int]


def greedy() -> Sampler:
    """The most likely token; the lower id where two are equally likely."""

    def pick(logits: Tensor) -> int:
        return int(logits.argmax())

    return pick


def top_k(k: float, temperature: float, chance: torch.Generator) -> Sampler:
    """One of the ``k`` most likely tokens, as often as it is likely among them.

    ``k`` below 1 is a share of the vocabulary, at least one token.
    """

    def pick(logits: Tensor) -> int:
        count = round(k * len(logits)) if k < 1 else int(k)
        values, ids = logits.topk(min(max(count, 1), len(logits)))
        return draw(likelihood(values, temperature), ids, chance)

    return pick


def top_p(p: float, temperature: float, chance: torch.Generator) -> Sampler:
    """One of the fewest tokens that have probability ``p`` together.

    The token that reaches ``p`` is one of them (Holtzman et al. 2020, section 3.1).
    """

    def pick(logits: Tensor) -> int:
        shares, ids = likelihood(logits, temperature).sort(descending=True, stable=True)
        before = shares.cumsum(0) - shares
        count = max(1, int((before < p).sum()))
        return draw(shares[:count], ids[:count], chance)

    return pick


def likelihood(logits: Tensor, temperature: float) -> Tensor:
    """softmax(logits / temperature) in float64, also at the smallest temperature."""
    relative = logits.double() - logits.max()
    return (relative / temperature).softmax(0)


def draw(weights: Tensor, ids: Tensor, chance: torch.Generator) -> int:
    """One of ``ids``, in proportion to its weight."""
    return int(ids[torch.multinomial(weights, 1, generator=chance)])
