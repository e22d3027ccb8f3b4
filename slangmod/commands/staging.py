"""How a run is divided into stages: what is planned of each, and what it is like."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as with_fields
from typing import Any

from slangmod.data.dataset import TokenDataset, dataset_of
from slangmod.data.shards import Encodings
from slangmod.errors import RunError
from slangmod.optim import Horizon, Schedule, build_schedule
from slangmod.parallel.team import ALONE, Team
from slangmod.runs.overview import flat
from slangmod.runs.recorders import STAGE_COLUMNS
from slangmod.settings.literals import literal
from slangmod.settings.sections import Settings
from slangmod.settings.stages import StagePlan, stages_of
from slangmod.training.stages import Length, StageEnd, planned_length
from slangmod.training.state import Counters


@dataclass(frozen=True)
class Leg:
    """A stage with its rows and its length, as known before the run begins."""

    plan: StagePlan
    train: TokenDataset
    length: Length

    @property
    def tokens_per_batch(self) -> int:
        """Target tokens of a full mini-batch."""
        settings = self.plan.settings
        return settings.train.batch_size * settings.data.seq_len

    def horizon(self) -> Horizon:
        """How long the stage is planned to be."""
        in_epoch = self.train.batches_in(self.train.epochs_before + 1)
        return Horizon(self.tokens_per_batch, in_epoch, self.length.batches)

    def rows(self, counters: Counters) -> TokenDataset:
        """Its rows, where it has begun as ``counters`` say."""
        begun = counters.rows_begun()
        if begun == (self.train.first_batch, self.train.epochs_before):
            return self.train
        return with_fields(self.train, first_batch=begun[0], epochs_before=begun[1])


Legs = tuple[Leg, ...]


def plan_legs(settings: Settings, encodings: Encodings, team: Team = ALONE) -> Legs:
    """All stages of a run, of which ``max_steps`` may cut the last off.

    Of each mini-batch the rows are those of this process.

    Raises DataError where there is nothing to train on.
    """
    legs: list[Leg] = []
    batches = epochs = 0
    left = settings.train.max_steps
    for plan in stages_of(settings):
        train = dataset_of(encodings, plan.settings, "train", training=True)
        train = with_fields(train, first_batch=batches, epochs_before=epochs)
        train = train.part_of(team.rank, team.size)
        steps = min((n for n in (plan.steps, left) if n is not None), default=None)
        step_freq = plan.settings.train.step_freq
        leg = Leg(plan, train, planned_length(train, step_freq, plan.epochs, steps))
        legs.append(leg)
        batches, epochs = batches + leg.length.batches, epochs + leg.length.epochs
        left = None if left is None else left - leg.length.steps
    return tuple(legs)


def leg_at(legs: Legs, counters: Counters) -> Leg:
    """The stage that ``counters`` are in; RunError if there is no such stage."""
    if not 1 <= counters.stage <= len(legs):
        raise RunError(f"the run is at stage {counters.stage} of {len(legs)}")
    return legs[counters.stage - 1]


def batches_of(legs: Legs) -> int:
    """Mini-batches that are planned in all stages together."""
    return sum(leg.length.batches for leg in legs)


def whole_horizon(legs: Legs) -> Horizon:
    """How long the run is planned to be, in the mini-batches of its first stage."""
    first = legs[0].horizon()
    return with_fields(first, batches=batches_of(legs))


def schedule_of(leg: Leg, legs: Legs, begin: int) -> Schedule:
    """The schedule of a stage that begins after ``begin`` mini-batches of the run."""
    settings = leg.plan.settings
    if leg.plan.continues:
        return build_schedule(settings, whole_horizon(legs))
    schedule = build_schedule(settings, leg.horizon())
    return lambda t: schedule(t - begin)


def end_of(plan: StagePlan, counters: Counters, *, last: bool) -> StageEnd:
    """Where a stage that began as ``counters`` say ends."""
    return StageEnd(
        None if plan.epochs is None else counters.stage_epoch + plan.epochs,
        None if plan.steps is None else counters.stage_step + plan.steps,
        last,
    )


def stage_columns(settings: Settings) -> tuple[str, ...]:
    """The columns that the tables of a run with stages have besides."""
    return STAGE_COLUMNS if settings.stage else ()


def stage_line(leg: Leg, legs: Legs, settings: Settings) -> str:
    """A stage in words: how long it lasts, and how it differs from what was before.

    What was before the first are the ``settings`` of the run.
    """
    plan = leg.plan
    before = legs[plan.number - 2].plan.settings if plan.number > 1 else settings
    name = "" if plan.name == str(plan.number) else f" '{plan.name}'"
    count, unit = (
        (plan.steps, "step") if plan.epochs is None else (plan.epochs, "epoch")
    )
    parts = [f"{count} {unit}{'' if count == 1 else 's'}"]
    parts += changes(before, plan.settings)
    parts += ["fresh moments"] if plan.reset_optimizer and plan.number > 1 else []
    parts += ["its schedule goes on"] if plan.continues and plan.number > 1 else []
    return f"stage {plan.number}{name} of {len(legs)}: {', '.join(parts)}"


def changes(before: Settings, after: Settings) -> Iterator[str]:
    """The settings that differ, by the last part of their names, with new values."""
    old, new = flat(before.model_dump()), flat(after.model_dump())
    for name, value in new.items():
        if name != "stage" and value != old.get(name):
            yield f"{name.rpartition('.')[2]} {literal(value)}"


def stage_tables(
    legs: Legs, counters: Counters, evaluations: Sequence[tuple[float, ...]]
) -> list[dict[str, Any]]:
    """What each stage did that has begun, for summary.toml.

    ``evaluations`` are rows of epochs.csv: stage, step, epoch, tokens, test loss. Each
    stage ends with one, so that they tell where the next began.
    """
    tables = []
    step = epoch = tokens = 0
    for leg in legs[: counters.stage]:
        own = [row for row in evaluations if row[0] == leg.plan.number]
        now = counters.step, counters.epoch, counters.tokens
        if leg.plan.number < counters.stage and own:
            now = int(own[-1][1]), int(own[-1][2]), int(own[-1][3])
        tables.append(
            {
                "number": leg.plan.number,
                "name": leg.plan.name,
                "steps": now[0] - step,
                "epochs": now[1] - epoch,
                "tokens": now[2] - tokens,
                "first_step": step + 1 if now[0] > step else None,
                "last_step": now[0] if now[0] > step else None,
                "best_test_loss": min((row[4] for row in own), default=None),
            }
        )
        step, epoch, tokens = now
    return tables
