"""Puts a training run together: data, model, optimizer, trainer, and their state."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from slangmod.commands.signals import Signals
from slangmod.data.dataset import TokenDataset, dataset_of
from slangmod.data.shards import Encodings
from slangmod.model import build_model
from slangmod.optim import Horizon, build_optimizer, build_schedule
from slangmod.runs.recorders import AVERAGE_COLUMNS
from slangmod.settings.derived import seconds_of
from slangmod.settings.sections import Settings
from slangmod.training.chance import seed_batch, seed_initialisation
from slangmod.training.compiling import (
    PAYS_AFTER,
    compiled_or_eager,
    estimated_seconds,
)
from slangmod.training.device import autocast
from slangmod.training.evaluate import Evaluator
from slangmod.training.events import Callback
from slangmod.training.feed import to_device
from slangmod.training.loss import cross_entropy_sum
from slangmod.training.state import TrainState, build_state
from slangmod.training.step import Objective
from slangmod.training.trainer import Limits, Trainer

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choices:
    """What the program chose at the start of a run, and keeps when it resumes."""

    device: str
    threads: int
    compiled: bool
    deterministic: bool


@dataclass(frozen=True)
class Session:
    """A run in memory: its state, its data, and how its step is computed."""

    settings: Settings
    device: torch.device
    state: TrainState
    train: TokenDataset
    test: TokenDataset
    objective: Objective

    def planned_batches(self) -> int:
        """Mini-batches until a limit of epochs or steps is reached."""
        limits = self.settings.train
        planned = self.train.batches_planned(limits.max_epochs)
        if limits.max_steps is None:
            return planned
        return min(planned, limits.max_steps * limits.step_freq)

    def horizon(self) -> Horizon:
        """How long the training is planned to be."""
        return Horizon(
            self.settings.train.batch_size * self.settings.data.seq_len,
            self.train.batches_in(1),
            self.planned_batches(),
        )


def promise(device: torch.device, threads: int, *, deterministic: bool) -> str:
    """Where a run computes, and whether it ends with the same bits when resumed."""
    exact = (
        "a resumed run ends with the same bits"
        if deterministic
        else "NOT bit-exact when resumed; deterministic = true makes it so"
    )
    return f"{device}, {threads} threads; {exact}"


def new_state(
    settings: Settings,
    vocab: int,
    device: torch.device,
    weights: Mapping[str, Tensor] | None = None,
) -> TrainState:
    """A model with fresh weights, or those given, on ``device``, and its optimizer."""
    seed_initialisation(settings.seed)
    model = build_model(settings, vocab)
    if weights is not None:
        model.load_state_dict(weights)
    model = model.to(device)
    return build_state(settings, model, build_optimizer(settings, model))


def open_session(
    settings: Settings,
    encodings: Encodings,
    device: torch.device,
    *,
    weights: Mapping[str, Tensor] | None = None,
) -> Session:
    """Everything a run needs before its first step, on ``device``.

    ``weights`` to start from, by name; None draws them.
    """
    state = new_state(settings, encodings.manifest.vocab, device, weights)
    train = dataset_of(encodings, settings, "train", training=True)
    test = dataset_of(encodings, settings, "test", training=False)
    objective = build_objective(settings, state, device)
    return Session(settings, device, state, train, test, objective)


def epoch_columns(settings: Settings) -> tuple[str, ...]:
    """The columns that epochs.csv has besides those of every run."""
    return () if settings.train.ema is None else AVERAGE_COLUMNS


def build_objective(
    settings: Settings, state: TrainState, device: torch.device
) -> Objective:
    """Sum of the training losses of a batch as a function of inputs and targets."""
    precision, smoothing = settings.data.precision, settings.train.label_smoothing
    z_loss, model = settings.train.z_loss, state.model

    def objective(inputs: Tensor, targets: Tensor) -> Tensor:
        with autocast(device, precision):
            logits = model(inputs)
        return cross_entropy_sum(logits, targets, smoothing, z_loss)

    return objective


def choose_step(session: Session, wanted: bool) -> tuple[Objective, bool]:
    """The step to train with, compiled if that is ``wanted``, pays, and works."""
    settings = session.settings
    if not wanted:
        return session.objective, False
    seconds = estimated_seconds(
        session.device.type,
        sum(parameter.numel() for parameter in session.state.model.parameters()),
        settings.model.n_layers,
        session.planned_batches(),
        settings.train.batch_size * settings.data.seq_len,
    )
    if seconds < PAYS_AFTER:
        LOG.info("not compiled: so short a training is over before that pays")
        return session.objective, False
    return compile_step(session)


def compile_step(session: Session) -> tuple[Objective, bool]:
    """The compiled step, tried on the first batch; the eager one if that fails."""
    LOG.info("compiling the training step")
    session.state.model.train()
    batch = to_device(session.train.batch(0), session.device)
    return compiled_or_eager(session.objective, batch, session.state.model.parameters())


def build_trainer(
    session: Session,
    objective: Objective,
    *,
    save: Callable[[TrainState], None],
    signals: Signals,
    tell: Callback,
) -> Trainer:
    """The trainer that ``[train]`` and ``[checkpoint]`` describe."""
    settings = session.settings
    train = settings.train
    limits = Limits(
        train.max_epochs,
        train.max_steps,
        None if train.max_time is None else seconds_of(train.max_time),
    )
    return Trainer(
        objective=objective,
        evaluator=Evaluator(session.device, settings.data.precision, signals.requested),
        schedule=build_schedule(settings, session.horizon()),
        limits=limits,
        step_freq=train.step_freq,
        clip_grad=train.clip_grad,
        cb_freq=train.cb_freq,
        eval_freq=train.eval_freq,
        save_freq=settings.checkpoint.every,
        seed_chance=lambda position: seed_batch(settings.seed, position),
        save=save,
        clock=time.monotonic,
        stop_requested=signals.requested,
        tell=tell,
        device=session.device,
    )


def about_run(
    settings: Settings, encodings: Encodings, choices: Choices
) -> dict[str, Any]:
    """What a checkpoint remembers beside the state: inputs, settings and choices."""
    return {
        "choices": asdict(choices),
        "tokenizer_sha256": encodings.manifest.tokenizer_sha256,
        "data_sha256": encodings.fingerprint(),
        "settings": settings.model_dump(mode="json"),
    }


def choices_of(about: Mapping[str, Any]) -> Choices:
    """The choices that a checkpoint remembers."""
    return Choices(**about["choices"])
