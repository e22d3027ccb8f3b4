"""What an optimizer has learnt about each weight, handed on to the one that follows."""

import torch


def carry_over(before: torch.optim.Optimizer, after: torch.optim.Optimizer) -> None:
    """Give ``after`` the moments of ``before``: the very tensors, whatever its groups.

    Both are over the weights of one model and of one kind. Rates and options stay
    those of ``after``.
    """
    after.state.update(before.state)
