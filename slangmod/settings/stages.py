"""The stages of a training: what holds in each, and how long it lasts."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from slangmod.settings.sections import Section, Settings


@dataclass(frozen=True)
class StagePlan:
    """One stage, resolved: its settings are those of the run with its own on top."""

    number: int
    """counted from 1"""
    name: str
    """its name, or its number"""
    settings: Settings
    """what holds in it; has no stages of its own"""
    epochs: int | None
    """how long it lasts; None where steps say so"""
    steps: int | None
    """optimizer steps that it lasts; None where epochs say so"""
    reset_optimizer: bool = False
    """whether moments begin afresh"""
    continues: bool = False
    """whether the schedule goes on, counted from the start of the run"""


def stages_of(settings: Settings) -> tuple[StagePlan, ...]:
    """The stages of ``settings``, in order; without any, the whole training is one."""
    if not settings.stage:
        epochs = settings.train.max_epochs
        return (StagePlan(1, "1", settings, epochs, None),)
    whole = settings.model_copy(update={"stage": ()})
    return tuple(
        StagePlan(
            number,
            stage.name or str(number),
            changed(whole, stage.changes),
            stage.epochs,
            stage.steps,
            stage.reset_optimizer,
            stage.schedule == "continue",
        )
        for number, stage in enumerate(settings.stage, start=1)
    )


def changed(settings: Settings, changes: Iterable[tuple[str, Any]]) -> Settings:
    """``settings`` with sound values by dotted name in their place."""
    for name, value in changes:
        settings = _put(settings, name.split("."), value)
    return settings


def _put[S: Section](section: S, path: list[str], value: Any) -> S:
    first, *rest = path
    new = _put(getattr(section, first), rest, value) if rest else value
    return section.model_copy(update={first: new})


MAY_CHANGE = ("train", "data", "optimizer")
"""Sections whose settings a stage may change, besides ``model.dropout``."""

OF_THE_WHOLE = (
    "train.max_steps",
    "train.max_time",
    "train.patience",
    "train.patience_steps",
    "train.patience_increase",
    "train.validation_threshold",
    "train.convergence_threshold",
    "train.convergence_norm",
    "train.ema",
    "train.init_from",
    "data.device",
    "optimizer.options",
    "optimizer.group",
)
"""Settings in those sections that hold for the whole training."""


def refusal(name: str) -> str:
    """Why no stage may change the setting ``name``; empty if it may."""
    first, *others = name.split(".")
    if name == "model.dropout":
        return ""
    if first == "model":
        return "changes the shape of the model; of [model] a stage may change dropout"
    if name == "train.max_epochs":
        return "a stage lasts as long as its own epochs or steps say; set those"
    if first not in MAY_CHANGE or not others:
        return "a stage may change train.*, data.*, optimizer.* and model.dropout"
    if ".".join((first, others[0])) in OF_THE_WHOLE:
        return "holds for the whole training; set it outside of the stages"
    return ""
