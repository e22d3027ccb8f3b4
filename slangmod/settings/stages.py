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
