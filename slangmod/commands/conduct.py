"""A run from its first step (or its last checkpoint) to its summary."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch

from slangmod.commands.bad_steps import BadSteps
from slangmod.commands.choices import Choices
from slangmod.commands.costs import cost_of, open_speed, tell_cost
from slangmod.commands.interruption import BrokenOffError
from slangmod.commands.measuring import MemoryWatch
from slangmod.commands.out_of_memory import explained
from slangmod.commands.recording import Recording
from slangmod.commands.rewinding import (
    fit_or_spike,
    go_back,
    incidents,
)
from slangmod.commands.sampling import samplers
from slangmod.commands.saving import Insistence, build_saver
from slangmod.commands.session import (
    Session,
    build_trainer,
    next_session,
)
from slangmod.commands.signals import Signals
from slangmod.commands.staging import stage_line, stage_tables
from slangmod.commands.stepping import chosen, next_step
from slangmod.commands.watchdog import Watchdog
from slangmod.data.dataset import dataset_of
from slangmod.data.shards import Encodings
from slangmod.errors import RunError, StoppedError
from slangmod.model.folder import save_model
from slangmod.model.transformer import Transformer
from slangmod.runs.directory import RunDir
from slangmod.runs.environment import environment
from slangmod.runs.series import read_series
from slangmod.runs.summary import write_summary
from slangmod.settings.paths import tokenizer_path
from slangmod.training.checkpoint import (
    FILE_OF,
    checkpoint_path,
    load_weights,
)
from slangmod.training.disk import trouble
from slangmod.training.evaluate import Evaluator, Score
from slangmod.training.events import Callback, Spike, all_of
from slangmod.training.limits import Outcome
from slangmod.training.peak import Peak, peak_of
from slangmod.training.saver import Saver
from slangmod.training.state import TrainState
from slangmod.training.step import Objective
from slangmod.training.stopping import Patience

LOG = logging.getLogger(__name__)

STOPPED, FAILED = UNFINISHED = ("stopped", "failed")
"""Reasons of an outcome that is not the end of a run."""


@dataclass(frozen=True)
class Conductor:
    """Trains one run, saves it where it is due, and writes down how it ended."""

    run: RunDir
    session: Session
    encodings: Encodings
    choices: Choices
    objective: Objective
    recording: Recording
    signals: Signals
    watchdog: Watchdog

    @cached_property
    def saver(self) -> Saver:
        """Writes the checkpoints of the run; the one it goes on from stays."""
        return build_saver(
            self.run, self.session, self.encodings, self.choices, self.recording
        )

    @cached_property
    def peak(self) -> Peak:
        """What the device could do; measured, if need be, before the first step."""
        return peak_of(self.session.device, self.session.settings.data.precision)

    @property
    def insist(self) -> Insistence:
        """Writes the end of the run, however long the disk refuses, within reason."""
        stop = self.session.settings.checkpoint.on_error == "stop"
        return Insistence(
            self.run,
            lambda: stop or self.requested(),
            self.recording.complaints,
        )

    def conduct(self) -> None:
        """Train to the end, keep the best model, validate it, write the summary.

        However training ends short of a kill, there is a summary that says so.
        """
        state = self.session.state
        self.watchdog.step = lambda: state.counters.step
        self.watchdog.sum_up = self.failed
        try:
            with self.saver:
                outcome = self.train()
            score = self.keep_best(outcome)
            ended = {"reason": outcome.reason, "why": outcome.why}
            ended |= self.best(outcome.patience)
            self.insist(lambda: self.summarize(ended, score))
        except StoppedError as stop:
            self.tell_failure(STOPPED, str(stop))
            raise
        except (KeyboardInterrupt, BrokenOffError):
            self.tell_failure(STOPPED, "broken off")
            raise
        except Exception as error:
            told = explained(error, state.counters, self.session.device)
            self.failed(str(told))
            if told is error:
                raise
            raise told from error
        LOG.info(
            "validation of step %d: loss %.4f | perplexity %.2f | bits per byte %.4f "
            "| accuracy %.4f",
            outcome.patience.best_step,
            score.loss,
            score.perplexity,
            score.bits_per_byte,
            score.accuracy,
        )
        tell_cost(self.session, self.cost())
        LOG.info("%d steps, %s", state.counters.step, self.run.root)

    def train(self) -> Outcome:
        """Train, stage by stage, until a limit, or a signal: that is StoppedError."""
        session, objective = self.session, self.objective
        recording = self.recording
        memory = MemoryWatch(recording.memory, session.state, session.device)
        watching = self.watchdog, recording, memory
        while True:
            if session.settings.stage:
                LOG.info(stage_line(session.leg, session.legs, session.settings))
            vocab = self.encodings.manifest.vocab
            speed = open_speed(session, vocab, self.peak, recording)
            trainer = build_trainer(
                session,
                objective,
                save=self.save,
                save_again=self.saver.due_again,
                rows=self.choices.rows,
                requested=self.requested,
                tell=all_of(*watching, speed, *self.witnesses(session)),
            )
            ended = fit_or_spike(trainer, session)
            if isinstance(ended, Outcome) and ended.reason != "next_stage":
                with self.watchdog.slow("saving the end"):
                    self.insist(lambda: self.saver.insist(self.session.state))
                if ended.reason == "interrupted":
                    raise self.stopped()
                return ended
            session, objective = self.go_over(session, ended, objective)

    def go_over(
        self, session: Session, ended: Outcome | Spike, objective: Objective
    ) -> tuple[Session, Objective]:
        """On to the next stage, or back from a spike; with the step to train with."""
        with self.watchdog.slow("going over to what comes next"):
            self.saver.wait()
            if not self.saver.in_debt:
                self.signals.saved(self.where())
            after = (
                go_back(self.run, session, ended, self.recording, self.saver)
                if isinstance(ended, Spike)
                else next_session(session)
            )
            objective = next_step(session, after, objective, self.choices.rows)
        self.signals.arm()
        return after, objective

    def witnesses(self, session: Session) -> tuple[Callback, ...]:
        """What watches training and must know its data, or its model."""
        bad_steps = BadSteps(self.run, session.train, session.settings.seed)
        return (bad_steps, *samplers(session, self.recording.samples))

    def keep_best(self, outcome: Outcome) -> Score:
        """Validate the best model and put it into the run's ``model/`` folder."""
        settings, state = self.session.settings, self.session.state
        best = checkpoint_path(self.run.checkpoints, outcome.patience.best_step)
        if not best.is_dir():  # removed by somebody, with the run's folder perhaps
            raise RunError(
                f"{best}: the best checkpoint is gone; `slangmod resume --name "
                f"{self.run.name} --train.max_epochs N` goes on until one is better"
            )
        load_weights(best, state.model, FILE_OF[outcome.patience.best_weights])
        evaluator = Evaluator(
            self.session.device, settings.data.precision, self.requested
        )
        validation = dataset_of(self.encodings, settings, "validation", training=False)
        table = torch.from_numpy(self.encodings.token_bytes())
        score = evaluator.score(state.model, validation, table)
        if score is None:
            raise self.stopped()
        assert isinstance(state.model, Transformer)  # new_state has built it
        model = state.model
        tokenizer = tokenizer_path(settings)
        self.insist(lambda: save_model(self.run.model, model, tokenizer))
        return score

    def stopped(self) -> StoppedError:
        """What to raise when a signal has ended training and all is saved."""
        return self.signals.stopped(self.where())

    def where(self) -> str:
        """How far the run is, in words."""
        return f"step {self.session.state.counters.step}"

    def requested(self) -> bool:
        """Whether to stop; who asks has just done something."""
        self.watchdog.alive()
        return self.signals.requested()

    def save(self, state: TrainState) -> None:
        """Write a checkpoint, or begin to, and remove those that nobody needs."""
        with self.watchdog.slow("saving a checkpoint"):
            self.saver.save(state)

    def failed(self, message: str) -> None:
        """Write down that the run has failed, and why."""
        self.tell_failure(FAILED, message)

    def best(self, patience: Patience) -> dict[str, Any]:
        """What [outcome] says of the best model; None where there is none."""
        known = patience.best_step > 0
        averages = known and self.session.state.average is not None
        return {
            "best_step": patience.best_step,
            "best_test_loss": patience.best_loss if known else None,
            "best_weights": patience.best_weights if averages else None,
        }

    def tell_failure(self, reason: str, message: str) -> None:
        """Write a summary of a run that has not ended by its rules, if that can be."""
        try:
            self.summarize({"reason": reason, "message": message}, None)
        except OSError as error:  # which must not hide what has happened
            LOG.warning("%s", trouble(self.run.summary, error))

    def summarize(self, outcome: Mapping[str, Any], score: Score | None) -> None:
        """Write summary.toml."""
        counters = self.session.state.counters
        patience = self.session.state.patience
        known = {
            "steps": counters.step,
            "epochs": counters.epoch,
            **self.best(patience),
            **incidents(self.session.state),
        }
        write_summary(
            self.run.summary,
            {"reason": None, "why": None, **known, **outcome},
            asdict(score) if score else {},
            environment(self.choices.device, self.choices.threads)
            | chosen(self.choices),
            self.cost(),
            self.stages(),
        )

    def cost(self) -> dict[str, Any]:
        """What training has cost so far."""
        vocab = self.encodings.manifest.vocab
        return cost_of(self.session, vocab, self.peak, self.stages())

    def stages(self) -> list[dict[str, Any]]:
        """What each stage did that has begun; none of a run without."""
        if not self.session.settings.stage:
            return []
        columns = ("stage", "step", "epoch", "tokens", "test_loss")
        evaluations = list(read_series(self.run.epochs, columns).rows())
        return stage_tables(self.session.legs, self.session.state.counters, evaluations)
