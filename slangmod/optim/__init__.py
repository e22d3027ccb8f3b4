"""From gradients to weights: optimizers, their parameter groups, and schedules."""

from slangmod.optim.carrying import carry_over
from slangmod.optim.groups import describe_groups
from slangmod.optim.optimizers import build_optimizer, check_optimizer
from slangmod.settings.horizon import Horizon
from slangmod.settings.schedules import Schedule, build_schedule

__all__ = [
    "Horizon",
    "Schedule",
    "build_optimizer",
    "build_schedule",
    "carry_over",
    "check_optimizer",
    "describe_groups",
]
