"""Puts a training run together: data, model, optimizer, trainer, and their state."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from slangmod.commands.holding import new_model, wrapping_of
from slangmod.commands.staging import (
    Leg,
    Legs,
    batches_of,
    end_of,
    leg_at,
    plan_legs,
    schedule_of,
    stage_columns,
)
from slangmod.data.dataset import TokenDataset, dataset_of
from slangmod.data.shards import Encodings
from slangmod.errors import RunError
from slangmod.model.transformer import Transformer
from slangmod.optim import build_optimizer, carry_over
from slangmod.parallel.strategy import DDP
from slangmod.parallel.team import ALONE, Team
from slangmod.runs.recorders import AVERAGE_COLUMNS
from slangmod.settings.derived import seconds_of
from slangmod.settings.sections import Settings
from slangmod.training.allocator import keep_memory
from slangmod.training.chance import seed_batch
from slangmod.training.chunks import Aim, prediction_loss
from slangmod.training.course import Rules
from slangmod.training.device import DTYPES, autocast
from slangmod.training.evaluate import Evaluator, never
from slangmod.training.events import Callback
from slangmod.training.limits import Limits
from slangmod.training.state import Counters, TrainState, build_state
from slangmod.training.step import Objective
from slangmod.training.trainer import Trainer
from slangmod.training.wrapping import UNWRAPPED, Wrapping

MOST_BATCHES: Final = 10**10  # mini-batches that a run has at most


@dataclass(frozen=True)
class Session:
    """A run in memory, at one of its stages: its state, its data, and its step."""

    settings: Settings
    """of the run; ``stage`` has those of the stage"""
    legs: Legs
    """all stages; one where the run has none"""
    leg: Leg
    device: torch.device
    state: TrainState
    train: TokenDataset
    test: TokenDataset
    objective: Objective
    team: Team = ALONE
    """the processes that train it together, each with a part of all rows"""
    wrapping: Wrapping = UNWRAPPED
    resumed: bool = False
    """whether it began with a checkpoint"""

    @property
    def stage(self) -> Settings:
        """The settings that hold in this stage."""
        return self.leg.plan.settings

    def planned_batches(self) -> int:
        """Mini-batches of the whole run: those done before this stage, and planned."""
        most, epochs = self.leg.length.batches, self.leg.plan.epochs
        gone = self.train.epochs_before - self.state.counters.stage_epoch
        if gone and epochs is not None:  # of other text
            most = min(most, self.train.batches_planned(max(0, epochs - gone)))
        later = self.legs[self.leg.plan.number :]
        return self.train.first_batch + most + batches_of(later)


def new_state(
    settings: Settings,
    vocab: int,
    device: torch.device,
    weights: Mapping[str, Tensor] | None = None,
    end: int | None = None,  # symbol, which a model that keeps documents apart knows
    team: Team = ALONE,
    strategy: str = DDP,  # fsdp: each process of the team has some rows
) -> TrainState:
    """A model with fresh weights, or those given, on ``device``, and its optimizer."""
    keep_memory(device)
    model = new_model(settings, vocab, device, weights, end, team, strategy)
    return build_state(settings, model, build_optimizer(settings, model))


def open_session(
    settings: Settings,
    encodings: Encodings,
    device: torch.device,
    counters: Counters | None = None,
    *,
    weights: Mapping[str, Tensor] | None = None,
    team: Team = ALONE,
    strategy: str = DDP,
) -> Session:
    """Everything a run needs before its first step, on ``device``.

    Or before the step after those that ``counters`` have counted. ``weights`` to start
    from, by name; None draws them. Of several processes each has its part of all rows,
    and of the model all or some, by ``strategy``.
    """
    legs = plan_legs(settings, encodings, team)
    manifest = encodings.manifest
    vocab, end = manifest.vocab, manifest.end
    state = new_state(settings, vocab, device, weights, end, team, strategy)
    state.counters = counters or state.counters
    leg_at(legs, state.counters)
    if settings.stage:
        # All of them: what cannot be built is better known now than at a border.
        each = [build_optimizer(leg.plan.settings, state.model) for leg in legs]
        state.optimizer = each[state.counters.stage - 1]
    # In all stages the same test rows, so that their losses can be compared.
    test = dataset_of(encodings, settings, "test", training=False)
    test = test.part_of(team.rank, team.size)
    wrapping = UNWRAPPED if team.alone else wrapping_of(state.model)
    session = session_of(settings, legs, device, state, test, team, wrapping)
    session = replace(session, resumed=counters is not None)
    if not team.alone:
        settle_session(session)
    return session


def settle_session(session: Session) -> None:
    """Leave behind what is different the first time that gradients are reduced."""
    from slangmod.training.strategies import settle

    first = session.train.batch(session.train.first_batch)
    settle(session.objective, first, session.state.model)


def refuse_odd_counts(counters: Counters, train: TokenDataset) -> None:
    """Raise RunError if so many mini-batches cannot be in so many epochs.

    A place in the data is found by counting, which would go on and on.
    """
    epochs = counters.epoch - train.epochs_before
    batches = counters.batch - train.first_batch
    # An epoch has one at least; where each ends is counted only if it may be so.
    likely = max(0, epochs) <= batches <= epochs * train.most_in_epoch <= MOST_BATCHES
    begun = train.batches_until(counters.epoch - 1) if likely and epochs else -1
    if not likely or not begun < counters.batch <= train.batches_until(counters.epoch):
        raise RunError(
            f"the run has counted {counters.batch} mini-batches in {counters.epoch} "
            "epochs, which its data do not have"
        )


def session_of(
    settings: Settings,
    legs: Legs,
    device: torch.device,
    state: TrainState,
    test: TokenDataset,
    team: Team = ALONE,
    wrapping: Wrapping = UNWRAPPED,
) -> Session:
    """The session of the stage that ``state`` is in."""
    leg = leg_at(legs, state.counters)
    stage = leg.plan.settings
    assert isinstance(state.model, Transformer)  # new_state has built it
    state.model.set_dropout(stage.model.dropout)
    train = leg.rows(state.counters)
    refuse_odd_counts(state.counters, train)
    objective = wrapping.around(build_objective(stage, state, device))
    return Session(
        *(settings, legs, leg, device, state, train, test, objective, team, wrapping)
    )


def session_now(session: Session) -> Session:
    """The session of the stage that the state of ``session`` is in now."""
    return session_of(
        session.settings,
        session.legs,
        session.device,
        session.state,
        session.test,
        session.team,
        session.wrapping,
    )


def next_session(session: Session) -> Session:
    """The session of the stage that follows; the state goes over to it."""
    state, counters = session.state, session.state.counters
    plan = session.legs[counters.stage].plan
    counters.stage += 1
    counters.stage_batch = counters.batch
    counters.stage_step = counters.step
    counters.stage_epoch = counters.epoch
    optimizer = build_optimizer(plan.settings, state.model)
    if not plan.reset_optimizer:
        carry_over(state.optimizer, optimizer)
    state.optimizer = optimizer
    state.course.begin_stage()
    return session_now(session)


def epoch_columns(settings: Settings) -> tuple[str, ...]:
    """The columns that epochs.csv has besides those of every run."""
    average = () if settings.train.ema is None else AVERAGE_COLUMNS
    return (*average, *stage_columns(settings))


def build_objective(
    settings: Settings, state: TrainState, device: torch.device
) -> Objective:
    """Sum of the training losses of a batch as a function of inputs and targets."""
    train, model, precision = settings.train, state.model, settings.data.precision
    assert isinstance(model, Transformer)  # new_state has built it
    aim = Aim(train.label_smoothing, train.z_loss, model.softcap)

    def objective(inputs: Tensor, targets: Tensor) -> Tensor:
        with autocast(device, precision):
            hidden = model.hidden(inputs, recompute=train.activation_checkpointing)
        matrix, dtype = model.predictor, DTYPES[precision]
        return prediction_loss(hidden, matrix, targets, aim, dtype, model.product)

    return objective


def build_trainer(
    session: Session,
    objective: Objective,
    *,
    save: Callable[[TrainState], None],
    requested: Callable[[], bool],
    tell: Callback,
    save_again: Callable[[], bool] = never,
    rows: int | None = None,
) -> Trainer:
    """The trainer that ``[train]``, the stage and ``[checkpoint]`` describe.

    ``requested``: whether to stop, before mini-batches of evaluations and after steps.
    """
    settings, train = session.settings, session.stage.train
    return Trainer(
        objective=objective,
        evaluator=Evaluator(
            session.device, settings.data.precision, requested, session.team
        ),
        schedule=schedule_of(
            session.leg, session.legs, session.state.counters.stage_batch
        ),
        limits=limits_of(session),
        step_freq=train.step_freq,
        clip_grad=train.clip_grad,
        cb_freq=train.cb_freq,
        eval_freq=train.eval_freq,
        save_freq=settings.checkpoint.every,
        seed_chance=lambda position: seed_batch(
            settings.seed, position, session.team.rank
        ),
        save=save,
        save_again=save_again,
        clock=time.monotonic,
        stop_requested=requested,
        tell=tell,
        planned=session.planned_batches(),
        rules=rules_of(settings),
        device=session.device,
        rows=rows,
        team=session.team,
        wrapping=session.wrapping,
    )


def rules_of(settings: Settings) -> Rules:
    """What ``[guard]`` asks for; to stop is to leave no step out."""
    guard = settings.guard
    skips = guard.max_skips if guard.non_finite == "skip" else 0
    return Rules(skips, guard.on_spike, guard.spike_sigma, guard.spike_window)


def limits_of(session: Session) -> Limits:
    """The limits of the run, and the end of its stage if it has stages."""
    settings, plan = session.settings, session.leg.plan
    train, last = settings.train, plan.number == len(session.legs)
    end = end_of(plan, session.state.counters, last=last) if settings.stage else None
    return Limits(
        train.max_epochs if end is None else None,
        train.max_steps,
        None if train.max_time is None else seconds_of(train.max_time),
        end,
    )
