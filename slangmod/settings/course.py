"""The course of a planned training: its optimizer steps, and the rate of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice

from slangmod.errors import SettingsError
from slangmod.settings.horizon import Horizon
from slangmod.settings.schedules import build_schedule
from slangmod.settings.sections import Settings
from slangmod.settings.stages import StagePlan, stages_of


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

    ``first``: mini-batches done when it begins. ``starts``: mini-batches done before
    each of its optimizer steps, all counted over the whole training.
    """

    plan: StagePlan
    first: int
    starts: tuple[int, ...]
    horizon: Horizon

    def rates(self, whole: Horizon) -> list[float]:
        """The learning rate of each of its optimizer steps."""
        settings = self.plan.settings
        schedule = build_schedule(
            settings, whole if self.plan.continues else self.horizon
        )
        begin = 0 if self.plan.continues else self.first
        peak = settings.train.learning_rate
        return [peak * schedule(start - begin) for start in self.starts]


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
        groups = _groups(plan, data, epochs, bounded=limit is not None)
        taken = list(islice(groups, limit))
        size = sum(length for _, length in taken)
        step_freq = plan.settings.train.step_freq
        starts, at = [], first
        for _, length in taken:
            starts.append(at)
            at += length
        legs.append(
            Leg(plan, first, tuple(starts), _horizon(plan, data, epochs, size, limit))
        )
        first, epochs = at, taken[-1][0] if taken else epochs
        left = None if left is None else left - len(taken)
        assert size <= len(taken) * step_freq
    return legs


def _groups(
    plan: StagePlan, data: Data | None, epochs: int, *, bounded: bool
) -> Iterator[tuple[int, int]]:
    """Epoch and mini-batches of each optimizer step of a stage, in order."""
    step_freq = plan.settings.train.step_freq
    if data is None:
        if not bounded:
            raise SettingsError(
                "needs to know where training ends, and the data are not at hand; run "
                "`slangmod encode` first, or set train.max_steps"
            )
        yield from ((epochs + 1, step_freq) for _ in count())
        return
    last = count(1) if plan.epochs is None else range(1, plan.epochs + 1)
    for number in last:
        size = data.batches_in(plan.settings, epochs + number)
        for begin in range(0, size, step_freq):
            yield epochs + number, min(step_freq, size - begin)


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
            numbers = range(epochs + 1, epochs + plan.epochs + 1)
            most = sum(data.batches_in(settings, number) for number in numbers)
            planned = min(planned, most)
    return Horizon(tokens, in_epoch, planned)


def whole_of(legs: list[Leg]) -> Horizon:
    """The horizon of the whole training, for schedules that go on over stages."""
    first = legs[0].horizon
    planned = sum(leg.horizon.batches or 0 for leg in legs)
    return Horizon(first.tokens_per_batch, first.batches_per_epoch, planned)


def rates_of(settings: Settings, data: Data | None) -> tuple[float, ...]:
    """The learning rate of each optimizer step of the whole training."""
    legs = course_of(settings, data)
    whole = whole_of(legs)
    return tuple(rate for leg in legs for rate in leg.rates(whole))
