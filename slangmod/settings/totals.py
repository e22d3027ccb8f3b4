"""Settings that arrays of tables add up to, and that are therefore not set."""

from typing import Any

from slangmod.settings.sections import Settings
from slangmod.settings.values import value_at

TOTALS = {"train.max_epochs": ("stage",), "model.n_layers": ("model", "layer")}
"""Settings that arrays of tables add up to, by the path of the array."""


def totals_of(settings: Settings) -> tuple[str, ...]:
    """The settings that are totals of arrays in ``settings``."""
    return tuple(
        name for name, array in TOTALS.items() if value_at(settings, array).count
    )


def totalled(settings: Settings) -> Settings:
    """``settings`` with what their arrays of tables add up to."""
    changes: dict[str, Any] = {}
    if settings.stage:
        epochs = sum(stage.epochs or 0 for stage in settings.stage)
        train = settings.train.model_copy(update={"max_epochs": max(1, epochs)})
        changes["train"] = train
    if settings.model.layer:
        layers = sum(layer.repeat for layer in settings.model.layer)
        changes["model"] = settings.model.model_copy(update={"n_layers": layers})
    return settings.model_copy(update=changes) if changes else settings
