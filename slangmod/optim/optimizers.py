"""Rules by which gradients change weights: torch's own wherever it has them.

The defaults are those of the papers and of torch; where PyCMTensor has others for what
it names so (rmsprop, adadelta, momentum), its own. Decay of weights comes in with the
groups; adam and the other adaptive rules have none, adamw is adam with it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import nn

from slangmod.errors import SettingsError
from slangmod.optim.bfgs import LBFGS
from slangmod.optim.classes import arguments, optimizer_class, try_out
from slangmod.optim.groups import Groups, parameter_groups
from slangmod.optim.light import light
from slangmod.optim.muon import Together, muon_and_adamw
from slangmod.optim.spread import AdafactorOfRows
from slangmod.parallel.shards import Shards, shards_of
from slangmod.settings.optimizer_rules import OPTIONS, own_options
from slangmod.settings.plugins import is_plugin
from slangmod.settings.sections import Group, Settings

Make = Callable[..., torch.optim.Optimizer]
"""Parameter groups, learning rate and options -> optimizer."""

Betas = tuple[float, float]
BETAS: Final = (0.9, 0.999)


def adamw(
    groups: Groups, rate: float, betas: Betas = BETAS, eps: float = 1e-8
) -> torch.optim.AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), fused."""
    return light(torch.optim.AdamW)(groups, lr=rate, betas=betas, eps=eps, fused=True)


def adafactor(groups: Groups, rate: float) -> torch.optim.Adafactor:
    """Adam whose second moment of a matrix is a row times a column.

    Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory
    cost", 2018, in the form and with the defaults of torch.
    """
    return light(torch.optim.Adafactor)(groups, lr=rate)


def adam(
    groups: Groups, rate: float, betas: Betas = BETAS, eps: float = 1e-8
) -> torch.optim.Adam:
    """``w -= rate * m / (sqrt(v) + eps)``, m and v unbiased (Kingma and Ba, 2015)."""
    return light(torch.optim.Adam)(groups, lr=rate, betas=betas, eps=eps, fused=True)


def nadam(
    groups: Groups, rate: float, betas: Betas = BETAS, eps: float = 1e-8
) -> torch.optim.NAdam:
    """Adam with Nesterov's momentum (Dozat, 2016)."""
    return light(torch.optim.NAdam)(groups, lr=rate, betas=betas, eps=eps)


def adamax(
    groups: Groups, rate: float, betas: Betas = BETAS, eps: float = 1e-8
) -> torch.optim.Adamax:
    """Adam by the greatest gradient, not the mean square (Kingma and Ba, 2015)."""
    return light(torch.optim.Adamax)(groups, lr=rate, betas=betas, eps=eps)


def adadelta(
    groups: Groups, rate: float, rho: float = 0.95, eps: float = 1e-8
) -> torch.optim.Adadelta:
    """Steps as large as the last ones were; 1 is the usual rate (Zeiler, 2012)."""
    return light(torch.optim.Adadelta)(groups, lr=rate, rho=rho, eps=eps)


def rmsprop(
    groups: Groups,
    rate: float,
    rho: float = 0.9,
    eps: float = 1e-8,
    momentum: float = 0.0,
) -> torch.optim.RMSprop:
    """``w -= rate * g / (sqrt(v) + eps)``, v the mean of g squared (Hinton, 2012)."""
    return light(torch.optim.RMSprop)(
        groups, lr=rate, alpha=rho, eps=eps, momentum=momentum
    )


def momentum(groups: Groups, rate: float, momentum: float = 0.9) -> torch.optim.SGD:
    """``v = momentum * v + g; w -= rate * v`` (Polyak, 1964)."""
    return light(torch.optim.SGD)(groups, lr=rate, momentum=momentum)


def nag(groups: Groups, rate: float, momentum: float = 0.9) -> torch.optim.SGD:
    """``v = momentum * v + g; w -= rate * (g + momentum * v)`` (Nesterov, 1983)."""
    # torch refuses Nesterov's form without momentum, where both are plain descent.
    nesterov = momentum > 0
    return light(torch.optim.SGD)(groups, lr=rate, momentum=momentum, nesterov=nesterov)


def adagrad(groups: Groups, rate: float, eps: float = 1e-10) -> torch.optim.Adagrad:
    """``w -= rate * g / (sqrt(sum of g squared) + eps)`` (Duchi et al., 2011)."""
    return light(torch.optim.Adagrad)(groups, lr=rate, eps=eps)


def sgd(groups: Groups, rate: float) -> torch.optim.SGD:
    """``w -= rate * g``."""
    return light(torch.optim.SGD)(groups, lr=rate)


def rprop(groups: Groups, rate: float) -> torch.optim.Rprop:
    """Steps by the sign of the gradient alone (Riedmiller and Braun, 1993).

    A weight's step begins at the rate, grows by 1.2 and shrinks by half from there, to
    1e-6 or the rate if that is less; only the rate of the first step counts.
    """
    return light(torch.optim.Rprop)(groups, lr=rate, step_sizes=(min(1e-6, rate), 50))


def bfgs(
    groups: Groups, rate: float, history: int = 10, bfgs_warmup: int = 10
) -> LBFGS:
    """Limited-memory BFGS without a line search (Liu and Nocedal, 1989)."""
    return LBFGS(groups, lr=rate, history=history, warmup=bfgs_warmup)


def muon(
    groups: Groups,
    rate: float,
    momentum: float = 0.95,
    betas: Betas = BETAS,
    eps: float = 1e-8,
) -> Together:
    """Momentum of hidden matrices made orthogonal (Jordan, 2024); the rest by adamw.

    A step of a matrix of n rows and m columns is scaled by ``0.2 sqrt(max(n, m))``, so
    that one learning rate suits both (Liu et al., "Muon is scalable", 2025).
    """
    return muon_and_adamw(groups, rate, momentum, betas, eps)


def adafactor_of_rows(groups: Groups, rate: float, shards: Shards) -> AdafactorOfRows:
    """``adafactor`` of weights that are spread over several processes."""
    return AdafactorOfRows(groups, rate, shards)


def muon_of_rows(
    groups: Groups,
    rate: float,
    momentum: float = 0.95,
    betas: Betas = BETAS,
    eps: float = 1e-8,
    *,
    shards: Shards,
) -> Together:
    """``muon`` of weights that are spread over several processes."""
    return muon_and_adamw(groups, rate, momentum, betas, eps, shards)


OPTIMIZERS: Final[dict[str, Callable[..., torch.optim.Optimizer]]] = {
    "adamw": adamw,
    "adafactor": adafactor,
    "adam": adam,
    "nadam": nadam,
    "adamax": adamax,
    "adadelta": adadelta,
    "rmsprop": rmsprop,
    "momentum": momentum,
    "nag": nag,
    "adagrad": adagrad,
    "sgd": sgd,
    "rprop": rprop,
    "bfgs": bfgs,
    "muon": muon,
}
"""By the words of ``train.optimizer``."""

SPREAD: Final[dict[str, Make]] = {"adafactor": adafactor_of_rows, "muon": muon_of_rows}
"""Those that look at whole weights, as they are where each process has some rows."""

NUMBER_BY_NUMBER: Final = (
    "adamw",
    "adam",
    "nadam",
    "adamax",
    "adadelta",
    "rmsprop",
    "momentum",
    "nag",
    "adagrad",
    "sgd",
    "rprop",
)
"""Those that change each number by what is known of it alone."""


def build_optimizer(settings: Settings, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of ``train.optimizer`` over the model's parameters.

    Each group keeps its peak learning rate under ``initial_lr``, torch's own name for
    it, so that a schedule can set ``lr`` before each step; that of the weights without
    a rate of their own is ``optimizer.defaults["lr"]``. Raises SettingsError where a
    group has no weights, or a class of others does not take its options.
    """
    rate = settings.train.learning_rate
    make, decay, options = chosen(settings)
    if (shards := shards_of(model)) is not None:
        make = of_rows(settings.train.optimizer, make, shards)
    own = settings.optimizer.group
    groups = parameter_groups(model, decay, [group.match for group in own])
    filled = [
        with_own_options(group, own[group["number"] - 1], make, rate, options)
        if group["number"]
        else group
        for group in groups
    ]
    optimizer = make(filled, rate, **options)
    optimizer.defaults["lr"] = rate
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def of_rows(name: str, make: Make, shards: Shards) -> Make:
    """What makes the optimizer of weights that are spread over several processes.

    Raises SettingsError for a rule that has to see all of them.
    """
    if name in SPREAD:
        return partial(SPREAD[name], shards=shards)
    if name in NUMBER_BY_NUMBER:
        return make
    raise SettingsError(
        f'train.optimizer = "{name}": may look at whole weights, of which each process '
        'has some rows only; set parallel.strategy = "ddp", or choose one of '
        f"{', '.join(sorted((*SPREAD, *NUMBER_BY_NUMBER)))}"
    )


def check_optimizer(settings: Settings, model: nn.Module, device: torch.device) -> None:
    """Raise SettingsError if ``train.optimizer`` is a class that cannot be relied on.

    ``model`` is only looked at, and may be on the meta device; see ``try_out``.
    """
    name = settings.train.optimizer
    if is_plugin(name):
        try_out(name, lambda small: build_optimizer(settings, small), model, device)


def chosen(settings: Settings) -> tuple[Make, float, dict[str, Any]]:
    """What makes the optimizer, the decay of matrices, and the options it gets."""
    name, section = settings.train.optimizer, settings.optimizer
    if is_plugin(name):
        make = optimizer_class(name, settings.plugins.allow)
        return make, section.weight_decay, arguments(section.options)
    given = {option: getattr(section, option) for option in OPTIONS[name]}
    decay = given.pop("weight_decay", 0.0)
    options = {option: value for option, value in given.items() if value is not None}
    return OPTIMIZERS[name], decay, options


def with_own_options(
    group: dict[str, Any],
    own: Group,
    make: Make,
    rate: float,
    options: dict[str, Any],
) -> dict[str, Any]:
    """``group`` with every option spelled out, so that no common one fills it in.

    The optimizer that it would have by itself says how its options are called and
    which follow from others.
    """
    changes = own_options(own)
    decay = changes.pop("weight_decay", group["weight_decay"])
    if own.learning_rate is not None:
        rate = own.learning_rate
    alone = make([{**group, "weight_decay": decay}], rate, **{**options, **changes})
    return dict(alone.param_groups[0])
