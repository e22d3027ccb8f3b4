"""Settings that explain themselves: one frozen object, every value with its origin."""

from slangmod.settings.load import load_settings, resolve
from slangmod.settings.resolved import Resolved
from slangmod.settings.run import load_run, load_run_settings
from slangmod.settings.sections import Settings

__all__ = [
    "Resolved",
    "Settings",
    "load_run",
    "load_run_settings",
    "load_settings",
    "resolve",
]
