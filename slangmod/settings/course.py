"""The course of a planned training: its optimizer steps, and the rate of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from slangmod.errors import SettingsError
from slangmod.settings.horizon import Horizon
from slangmod.settings.schedules import build_schedule
from slangmod.settings.sections import Settings
from slangmod.settings.stages import StagePlan, stages_of

MOST_EPOCHS: Final = 1000
MOST_STEPS: Final = 5_000_000


@dataclass(frozen=True)
class Data:
    """What is known of encoded data."""

    vocab: int
    """token ids"""
    batches_in: Callable[[Settings, int], int]
    """settings of a stage, number of an epoch (from 1) -> mini-batches of that epoch"""


AtHand = Callable[[Settings], Data | None]
"""Settings -> what is known of their data; None where they are not at hand."""


def nothing_at_hand(_: Settings) -> Data | None:
    """What is known of the data where nobody looks at them: nothing."""
    return None


@dataclass(frozen=True)
class Leg:
    """What one stage does.

    ``first``: mini-batches done when it begins, and ``end`` when it ends. ``starts``:
    for each of its epochs the mini-batches done before each optimizer step. All are
    counted over the whole training.
    """

    plan: StagePlan
    first: int
    end: int
    starts: tuple[range, ...]
    horizon: Horizon

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return sum(map(len, self.starts))

    def rates(self, whole: Horizon) -> Iterator[float]:
        """The learning rate of each of its optimizer steps."""
        settings = self.plan.settings
        horizon = whole if self.plan.continues else self.horizon
        schedule = build_schedule(settings, horizon)
        begin = 0 if self.plan.continues else self.first
        peak = settings.train.learning_rate
        for epoch in self.starts:
            for start in epoch:
                yield peak * schedule(start - begin)


def course_of(settings: Settings, data: Data | None) -> list[Leg]:
    """The legs of the training, as far as a limit of epochs or steps is known.

    Without the data, epochs have no borders at which a last step could be shorter.
    Raises SettingsError where a stage's length depends on data that are not at hand.
    """
    legs: list[Leg] = []
    first = epochs = 0
    left = settings.train.max_steps
    for plan in stages_of(settings):
        if left == 0:
            break
        limit = min((n for n in (plan.steps, left) if n is not None), default=None)
        starts, end = _starts(plan, data, epochs, first, limit)
        horizon = _horizon(plan, data, epochs, end - first, limit)
        legs.append(Leg(plan, first, end, starts, horizon))
        first, epochs = end, epochs + len(starts)
        left = None if left is None else left - legs[-1].steps
    return legs


def _starts(
    plan: StagePlan, data: Data | None, epochs: int, first: int, limit: int | None
) -> tuple[tuple[range, ...], int]:
    """Where the steps of a stage begin, epoch by epoch, and where the last one ends."""
    step_freq = plan.settings.train.step_freq
    if data is None:
        if limit is None:
            raise SettingsError(
                "needs to know where training ends, and the data are not at hand; run "
                "`slangmod encode` first, or set train.max_steps"
            )
        end = first + limit * step_freq
        return (range(first, end, step_freq),), end
    starts: list[range] = []
    while limit != 0 and len(starts) != plan.epochs:
        if len(starts) == MOST_EPOCHS:
            raise SettingsError(
                f"more than {MOST_EPOCHS} epochs are too many to look at one by one; "
                "set train.max_steps"
            )
        size = data.batches_in(plan.settings, epochs + len(starts) + 1)
        steps = range(first, first + size, step_freq)[:limit]
        starts.append(steps)
        first = min(first + size, steps.stop)
        limit = None if limit is None else limit - len(steps)
    return tuple(starts), first


def _horizon(
    plan: StagePlan, data: Data | None, epochs: int, size: int, limit: int | None
) -> Horizon:
    """How long the stage is planned to be, as training itself sees it."""
    settings = plan.settings
    tokens = settings.train.batch_size * settings.data.seq_len
    if data is None:
        return Horizon(tokens, None, size)
    in_epoch = data.batches_in(settings, epochs + 1)
    planned = size
    if limit is not None:
        planned = limit * settings.train.step_freq
        if plan.epochs is not None:
            counted = min(plan.epochs, MOST_EPOCHS)
            numbers = range(epochs + 1, epochs + counted + 1)
            most = sum(data.batches_in(settings, number) for number in numbers)
            planned = min(planned, most + (plan.epochs - counted) * in_epoch)
    return Horizon(tokens, in_epoch, planned)


def whole_of(legs: list[Leg]) -> Horizon:
    """The horizon of the whole training, for schedules that go on over stages."""
    first = legs[0].horizon
    planned = sum(leg.horizon.batches or 0 for leg in legs)
    return Horizon(first.tokens_per_batch, first.batches_per_epoch, planned)


def rates_of(settings: Settings, data: Data | None) -> tuple[float, ...]:
    """The learning rate of each optimizer step of the whole training.

    Raises SettingsError, too, if they are more than anybody could want to list.
    """
    legs = course_of(settings, data)
    steps = sum(leg.steps for leg in legs)
    if steps > MOST_STEPS:
        raise SettingsError(f"{steps} optimizer steps are too many to list their rates")
    whole = whole_of(legs)
    return tuple(rate for leg in legs for rate in leg.rates(whole))
