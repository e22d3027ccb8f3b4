"""What a training will take, worked out from its settings, its data and a trial."""

from dataclasses import dataclass, field

import torch

from slangmod.commands.at_hand import data_at_hand
from slangmod.commands.fitting import rows_at_once
from slangmod.commands.trial import Memory, Trial, Trials
from slangmod.data.rows import rows_of
from slangmod.data.shards import encodings_folder, open_encodings
from slangmod.errors import SettingsError
from slangmod.settings.automatic import in_portions
from slangmod.settings.course import (
    MOST_STEPS,
    Data,
    Leg,
    course_of,
    whole_of,
)
from slangmod.settings.flops import Flops, flops_of_token
from slangmod.settings.milestones import Milestones, milestones_of
from slangmod.settings.sections import Settings
from slangmod.settings.stages import StagePlan, stages_of
from slangmod.settings.tensors import parameters_by_part
from slangmod.training.device import choose_device, reproducible

BYTE_VOCAB = 257
"""Tokens of the tokenizer "byte", whatever is asked for."""


@dataclass(frozen=True)
class StagePart:
    """One stage of the plan."""

    plan: StagePlan
    steps: int | None
    """optimizer steps; None where it is not known when training ends"""
    rates: tuple[float, ...]
    """learning rate of each step; empty where they are not known"""
    flops: Flops
    """of a token"""
    trial: Trial

    @property
    def tokens_per_step(self) -> int:
        """Target tokens that a step learns from, at most."""
        settings = self.plan.settings
        return (
            settings.train.batch_size * settings.train.step_freq * settings.data.seq_len
        )

    @property
    def flops_per_step(self) -> int:
        """Operations of a step of full mini-batches."""
        return self.flops.total * self.tokens_per_step

    @property
    def seconds_per_step(self) -> float | None:
        """Time of a step, once it is warm; None where none was tried."""
        tried = self.trial.calibration
        return None if tried is None else tried.step_seconds

    @property
    def seconds(self) -> float | None:
        """Time of all its steps; None where that is not known."""
        tried = self.trial.calibration
        if tried is None or self.steps is None:
            return None
        slow = tried.first_step_seconds - tried.step_seconds
        return self.steps * tried.step_seconds + (slow if self.steps else 0.0)


@dataclass(frozen=True)
class Course:
    """How long training will be and how its rate goes, as far as that is known."""

    legs: tuple[Leg, ...] = ()
    rates: tuple[tuple[float, ...], ...] = ()
    """of each step of each leg"""
    milestones: Milestones = field(default_factory=Milestones)
    batches: int | None = None
    """mini-batches in all"""
    missing: str | None = None
    """why it is not known where training ends, or how the rate goes"""


@dataclass(frozen=True)
class Plan:
    """All that is known before the first step."""

    settings: Settings
    device: torch.device
    threads: int
    vocab: int
    data: Data | None
    parts: dict[str, int]
    """parameters"""
    course: Course
    stages: tuple[StagePart, ...]
    test_batches: int | None
    """mini-batches of the test split; None where the data are not at hand"""
    memory: Memory
    """of the stage that needs most"""

    @property
    def steps(self) -> int | None:
        """Optimizer steps in all."""
        known = [stage.steps for stage in self.stages if stage.steps is not None]
        return sum(known) if known else None

    @property
    def tokens(self) -> int | None:
        """Target tokens in all, at most."""
        known = [
            stage.steps * stage.tokens_per_step
            for stage in self.stages
            if stage.steps is not None
        ]
        return sum(known) if known else None

    @property
    def operations(self) -> int:
        """Floating-point operations of all steps that are known."""
        return sum((one.steps or 0) * one.flops_per_step for one in self.stages)

    @property
    def flops(self) -> Flops:
        """Operations of a token in the first stage."""
        return self.stages[0].flops


def make_plan(settings: Settings, *, calibrate: bool) -> Plan:
    """What training with ``settings`` will take; writes nothing.

    ``calibrate``: try some steps, where memory suffices for them.
    """
    device = choose_device(settings.data.device)
    threads = settings.threads or torch.get_num_threads()
    deterministic = settings.deterministic or device.type == "cpu"
    data = data_at_hand(settings)
    vocab = vocab_of(settings, data)
    course = course_or_reason(settings, data)
    rows = rows_at_once(settings, vocab, device)
    with reproducible(deterministic, threads):
        trials = Trials(settings, vocab, device, course.legs, calibrate)
        stages = tuple(
            stage_part(plan, index, course, trials, rows)
            for index, plan in enumerate(stages_of(settings))
        )
    return Plan(
        settings,
        device,
        threads,
        vocab,
        data,
        parameters_by_part(settings.model, vocab),
        course,
        stages,
        test_batches(in_portions(settings, rows), data),
        max((stage.trial.memory for stage in stages), key=lambda one: one.peak),
    )


def vocab_of(settings: Settings, data: Data | None) -> int:
    """Token ids: of the data, else as the tokenizer is asked for."""
    if data is not None:
        return data.vocab
    return BYTE_VOCAB if settings.tokens.algo == "byte" else settings.tokens.vocab


def course_or_reason(settings: Settings, data: Data | None) -> Course:
    """The course of the training, or why there is none to be seen."""
    try:
        legs = tuple(course_of(settings, data))
    except SettingsError as error:
        return Course(missing=f"the length of training {error}")
    steps = sum(leg.steps for leg in legs)
    if steps > MOST_STEPS:
        reason = f"{steps} optimizer steps are too many to look at each"
        return Course(legs, batches=legs[-1].end, missing=reason)
    milestones = milestones_of(legs, data, settings.checkpoint.every)
    try:
        whole = whole_of(list(legs))
        rates = tuple(tuple(leg.rates(whole)) for leg in legs)
    except SettingsError as error:
        return Course(legs, (), milestones, legs[-1].end, str(error))
    return Course(legs, rates, milestones, legs[-1].end)


def stage_part(
    plan: StagePlan, index: int, course: Course, trials: Trials, rows: int | None
) -> StagePart:
    """Stage ``index``, tried with ``rows`` at a time; ``max_steps`` may cut it."""
    steps = course.legs[index].steps if index < len(course.legs) else 0
    return StagePart(
        plan,
        steps if course.legs else None,
        course.rates[index] if index < len(course.rates) else (),
        flops_of_token(plan.settings.model, trials.vocab, plan.settings.data.seq_len),
        trials.of(in_portions(plan.settings, rows)),
    )


def test_batches(settings: Settings, data: Data | None) -> int | None:
    """Mini-batches of the test split."""
    if data is None:
        return None
    encodings = open_encodings(encodings_folder(settings))
    rows = rows_of(encodings, settings.data, "test", training=False)
    return -(-rows.count(0) // settings.train.batch_size)


@dataclass(frozen=True)
class Times:
    """Seconds of the whole training, by what they go into."""

    compiling: float
    steps: float
    evaluations: float
    checkpoints: float

    @property
    def training(self) -> float:
        """What summary.toml will call seconds: all but compiling."""
        return self.steps + self.evaluations + self.checkpoints


def times_of(plan: Plan) -> Times | None:
    """How long training will take; None where no steps were tried or are known."""
    seconds = [stage.seconds for stage in plan.stages]
    tried = plan.stages[0].trial.calibration
    if tried is None or any(one is None for one in seconds):
        return None
    looks = 1 if plan.settings.train.ema is None else 2
    each = looks * (plan.test_batches or 0) * tried.evaluation_seconds
    milestones = plan.course.milestones
    trial = plan.stages[0].trial
    return Times(
        tried.compile_seconds,
        sum(one for one in seconds if one is not None),
        each * len(milestones.evaluations),
        trial.checkpoint_seconds * len(milestones.checkpoints),
    )


def warnings_of(plan: Plan) -> tuple[str, ...]:
    """What training would warn of, and what is not known."""
    texts = []
    if plan.course.missing is not None:
        texts.append(plan.course.missing)
    for leg in plan.course.legs:
        train, horizon = leg.plan.settings.train, leg.horizon
        planned = horizon.batches or 0
        try:
            warmup = horizon.batches_of(train.warmup, "train.warmup")
        except SettingsError:
            continue
        if warmup > planned and not leg.plan.continues:
            last = max(0, planned - train.step_freq)
            reached = train.learning_rate * (last + 1) / warmup
            texts.append(
                f"train.warmup = {train.warmup} is longer than the planned {planned} "
                f"mini-batches: the rate will reach {reached:.3g} of "
                f"{train.learning_rate:.3g}; --train.warmup {max(1, planned // 20)} "
                "would fit"
            )
    return tuple(texts)
