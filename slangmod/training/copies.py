"""Second sets of weights: a moving average, and those of the last evaluation.

Both are kept by the names of the weights, on their device, in float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slangmod.parallel.shards import own_parameters, shards_of

Weights = dict[str, Tensor]
"""By the names that ``state_dict`` has; tied ones once."""


def weights_of(model: nn.Module) -> Weights:
    """The weights of ``model`` themselves; of one that is spread out the own rows."""
    shards = shards_of(model)
    return model.state_dict() if shards is None else dict(shards.own)


def copy_weights(model: nn.Module) -> Weights:
    """The weights of ``model`` as they are now, in memory of their own."""
    return {name: w.detach().clone() for name, w in own_parameters(model).items()}


def renew(copy: Weights, model: nn.Module) -> None:
    """Make ``copy`` the weights of ``model`` as they are now."""
    for name, weight in own_parameters(model).items():
        copy[name].copy_(weight.detach())


def distance(copy: Weights, model: nn.Module) -> float:
    """2-norm of the difference between all weights of ``model`` and ``copy``."""
    parts = [
        torch.linalg.vector_norm(weight.detach() - copy[name], dtype=torch.float64)
        for name, weight in own_parameters(model).items()
    ]
    norm, shards = torch.linalg.vector_norm(torch.stack(parts)), shards_of(model)
    if shards is not None:
        norm = shards.team.sum(norm.square()).sqrt()
    return float(norm)


def decay_at(decay: float, step: int) -> float:
    """The decay of the average after optimizer step ``step``, counted from 1.

    ``min(decay, (1 + step) / (10 + step))``, as TensorFlow's
    ExponentialMovingAverage has it: at first the average follows closely, so that it
    soon forgets the initial weights.

    >>> decay_at(0.999, 1), decay_at(0.999, 100_000)
    (0.18181818181818182, 0.999)
    """
    return min(decay, (1 + step) / (10 + step))


@dataclass(frozen=True)
class Average:
    """An exponential moving average of the weights (Polyak and Juditsky, 1992)."""

    decay: float
    weights: Weights

    @classmethod
    def of(cls, decay: float, model: nn.Module) -> "Average":
        """An average that starts from the weights of ``model`` as they are now."""
        return cls(decay, copy_weights(model))

    @torch.no_grad()
    def follow(self, model: nn.Module, step: int) -> None:
        """``average += (1 - decay_at(step)) * (weights - average)``."""
        share = 1 - decay_at(self.decay, step)
        own = own_parameters(model)
        pairs = [(self.weights[name], weight) for name, weight in own.items()]
        averages, weights = zip(*pairs, strict=True)
        # As torch's own swa_utils does it: all weights at once, not one by one.
        torch._foreach_lerp_(averages, weights, share)

    @contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """Let ``model`` compute with the average while the block runs.

        Memory changes hands and nothing is computed, so no bit changes. What is spread
        over several processes is theirs to move, so there contents change places.
        """
        self._swap(model)
        try:
            yield
        finally:
            self._swap(model)

    def _swap(self, model: nn.Module) -> None:
        apart = shards_of(model) is not None
        for name, weight in own_parameters(model).items():
            if apart:
                kept = weight.detach().clone()
                weight.data.copy_(self.weights[name])
                self.weights[name].copy_(kept)
            else:
                weight.data, self.weights[name] = self.weights[name], weight.data
