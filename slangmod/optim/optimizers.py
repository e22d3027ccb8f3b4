"""Rules by which gradients change weights: torch's own, with the settings' options."""

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import nn

from slangmod.optim.groups import parameter_groups
from slangmod.settings.sections import Optimizer, Settings

Groups = list[dict[str, Any]]


def adamw(groups: Groups, learning_rate: float, **options: Any) -> torch.optim.AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), fused.

    torch's defaults: betas (0.9, 0.999), eps 1e-8.
    """
    return torch.optim.AdamW(groups, lr=learning_rate, fused=True, **options)


def adafactor(groups: Groups, learning_rate: float) -> torch.optim.Adafactor:
    """Adam whose second moment of a matrix is a row times a column.

    Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory
    cost", 2018, in the form and with the defaults of torch.
    """
    return torch.optim.Adafactor(groups, lr=learning_rate)


def moments(section: Optimizer) -> dict[str, Any]:
    """``betas`` and ``eps`` where they are set, else the optimizer's own."""
    options = {"betas": section.betas, "eps": section.eps}
    return {name: value for name, value in options.items() if value is not None}


OPTIMIZERS: Final[
    dict[str, Callable[[Groups, float, Optimizer], torch.optim.Optimizer]]
] = {
    "adamw": lambda groups, rate, section: adamw(groups, rate, **moments(section)),
    "adafactor": lambda groups, rate, _: adafactor(groups, rate),
}


def build_optimizer(settings: Settings, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of ``train.optimizer`` over the model's parameters.

    Each group keeps its peak learning rate under ``initial_lr``, torch's own name for
    it, so that a schedule can set ``lr`` before each step.
    """
    groups = parameter_groups(model, settings.optimizer.weight_decay)
    rate = settings.train.learning_rate
    optimizer = OPTIMIZERS[settings.train.optimizer](groups, rate, settings.optimizer)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer
