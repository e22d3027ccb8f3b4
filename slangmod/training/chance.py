"""Chance by position: every mini-batch draws its own, wherever a run was resumed."""

import torch

from slangmod.data.order import mix


def seed_initialisation(seed: int) -> None:
    """Fix what the initial weights are drawn from."""
    torch.manual_seed(mix(seed, 3) >> 1)


def seed_batch(seed: int, position: int, rank: int = 0) -> None:
    """Fix what the dropout of mini-batch ``position`` of the run is drawn from.

    Each process of a run has chance of its own, the first the same as if alone.

    The generators are seeded one by one: ``torch.manual_seed`` looks for every kind
    of device first, which takes longer than a small layer.
    """
    stirred = mix(seed, 4, position, *([rank] if rank else [])) >> 1
    torch.default_generator.manual_seed(stirred)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(stirred)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(stirred)
