"""From gradients to weights: optimizers, their parameter groups, and schedules."""

from slangmod.optim.optimizers import build_optimizer
from slangmod.settings.horizon import Horizon
from slangmod.settings.schedules import Schedule, build_schedule

__all__ = ["Horizon", "Schedule", "build_optimizer", "build_schedule"]
