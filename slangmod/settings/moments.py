"""Which changes of settings an optimizer's moments do not survive."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

from slangmod.settings.clash import Clash
from slangmod.settings.sections import Settings
from slangmod.settings.stages import stages_of


def _begins_momentum(before: Settings, after: Settings) -> bool:
    return not before.optimizer.momentum and bool(after.optimizer.momentum)


def _other_history(before: Settings, after: Settings) -> bool:
    return before.optimizer.history != after.optimizer.history


OPTIONS: Final[dict[str, tuple[str, Callable[[Settings, Settings], bool]]]] = {
    "bfgs": ("optimizer.history", _other_history),
    "rmsprop": ("optimizer.momentum", _begins_momentum),
}
"""By optimizer: the option on which what it remembers depends, and when it does."""


def outdated_by(before: Settings, after: Settings) -> str | None:
    """The setting whose change leaves no use for the moments of ``before``, if any.

    >>> outdated_by(Settings(), Settings()) is None
    True
    """
    name = after.train.optimizer
    if before.train.optimizer != name:
        return "train.optimizer"
    option, changes = OPTIONS.get(name, ("", lambda *_: False))
    return option if changes(before, after) else None


def moments_fit(settings: Settings) -> Iterator[Clash]:
    """No optimizer can go on with moments that are not of its kind."""
    for before, plan in pairwise(stages_of(settings)):
        name = outdated_by(before.settings, plan.settings)
        if name is not None and not plan.reset_optimizer:
            yield Clash(
                (f"stage.{plan.number}.reset_optimizer", name),
                f"stage {plan.number} changes {name}, which leaves no use for the "
                "moments of the stage before; it needs reset_optimizer = true",
            )
