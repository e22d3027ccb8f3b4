"""A run from its first step (or its last checkpoint) to its summary."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from slangmod.commands.agreement import Agreement
from slangmod.commands.best import refuse_unsound_best
from slangmod.commands.bystander import Bystander
from slangmod.commands.choices import Choices
from slangmod.commands.out_of_memory import explained
from slangmod.commands.postponing import BrokenOffError
from slangmod.commands.provisions import Provisions, provisions_of
from slangmod.commands.rewinding import (
    fit_or_spike,
    go_back,
    refuge_of,
    refuse_one_more,
)
from slangmod.commands.scribe import Scribe, written_by
from slangmod.commands.session import Session, build_trainer, next_session
from slangmod.commands.signals import Signals
from slangmod.commands.staging import stage_line
from slangmod.commands.stepping import next_step
from slangmod.commands.voices import Voices
from slangmod.commands.watchdog import Watchdog
from slangmod.data.shards import Encodings
from slangmod.errors import StoppedError
from slangmod.runs.directory import RunDir
from slangmod.runs.logfile import RunLog
from slangmod.training.checkpoint import (
    FILE_OF,
    checkpoint_path,
    load_weights,
    step_of,
)
from slangmod.training.evaluate import Evaluator, Score
from slangmod.training.events import Spike, all_of
from slangmod.training.limits import Outcome
from slangmod.training.state import TrainState
from slangmod.training.step import Objective

LOG = logging.getLogger(__name__)

STOPPED, FAILED = UNFINISHED = ("stopped", "failed")
"""Reasons of an outcome that is not the end of a run."""


@dataclass(frozen=True)
class Conductor:
    """Trains one run, has it saved where it is due, and its end written down.

    Where several processes train it, each has a conductor, and one a real scribe.
    """

    run: RunDir
    session: Session
    provisions: Provisions
    choices: Choices
    objective: Objective
    scribe: Scribe | Bystander
    signals: Signals
    watchdog: Watchdog
    voices: Voices

    @cached_property
    def agreement(self) -> Agreement | None:
        """What several processes decide by alike; one needs none."""
        team = self.session.team
        if team.alone:
            return None
        due_again = self.scribe.saver.due_again
        return Agreement(team, self.signals, self.voices, self.requested, due_again)

    def conduct(self) -> None:
        """Train to the end, keep the best model, validate it, write the summary.

        However training ends short of a kill, there is a summary that says so.
        """
        state, scribe = self.session.state, self.scribe
        self.watchdog.step = lambda: state.counters.step
        self.watchdog.sum_up = self.failed
        try:
            with scribe.saver:
                outcome = self.train()
            score = self.validate(outcome)
            with self.watchdog.slow("writing the end"):
                scribe.keep_model(outcome.patience)
                scribe.sum_up(outcome, score)
        except StoppedError as stop:
            scribe.sum_up_failure(STOPPED, str(stop))
            raise
        except (KeyboardInterrupt, BrokenOffError):
            scribe.sum_up_failure(STOPPED, "broken off")
            raise
        except Exception as error:
            common = self.session.team.explained(error)
            told = explained(common, state.counters, self.session.device)
            self.failed(str(told))
            if told is error:
                raise
            raise told from error
        scribe.report(outcome, score)
        with self.watchdog.slow("waiting for who writes the end"):
            self.interrupted()  # what came after the last step came to all, or to none

    def train(self) -> Outcome:
        """Train, stage by stage, until a limit, or a signal: that is StoppedError."""
        session, objective = self.session, self.objective
        while True:
            if session.settings.stage:
                LOG.info(stage_line(session.leg, session.legs, session.settings))
            trainer = build_trainer(
                session,
                objective,
                save=self.save,
                save_again=self.scribe.saver.due_again,
                rows=self.choices.rows,
                requested=self.requested,
                tell=all_of(self.watchdog, *self.scribe.watchers(session)),
            )
            if self.agreement is not None:
                trainer = self.agreement.steer(trainer)
            ended = fit_or_spike(trainer, session)
            if isinstance(ended, Outcome) and ended.reason != "next_stage":
                with self.watchdog.slow("saving the end"):
                    self.scribe.save_end()
                if ended.reason == "interrupted":
                    raise self.stopped()
                return ended
            session, objective = self.go_over(session, ended, objective)

    def go_over(
        self, session: Session, ended: Outcome | Spike, objective: Objective
    ) -> tuple[Session, Objective]:
        """On to the next stage, or back from a spike; with the step to train with."""
        saver, alone = self.scribe.saver, session.team.alone
        with self.watchdog.slow("going over to what comes next"):
            saver.wait()
            if isinstance(ended, Spike):
                after = self.go_back(session, ended)
            else:
                if alone and not saver.in_debt:
                    self.signals.saved(self.where())
                after = next_session(session)
            objective = next_step(session, after, objective, self.choices.rows)
        if alone:  # several heed a signal where they agree on it
            self.signals.arm()
        return after, objective

    def go_back(self, session: Session, spike: Spike) -> Session:
        """Back to the last good checkpoint, which is all that a signal may leave."""
        scribe, insist = self.scribe, self.scribe.while_going_back
        refuse_one_more(session, spike)
        insist(scribe.saver.settle)
        path = refuge_of(self.run, session, spike)
        if session.team.alone:
            self.signals.saved(f"step {step_of(path)}")
        return go_back(path, session, spike, scribe.recording, scribe.saver, insist)

    def validate(self, outcome: Outcome) -> Score:
        """Take back the best weights, and see how good they are."""
        settings, session = self.session.settings, self.session
        with self.watchdog.slow("waiting for what is saved"):
            session.team.meet()  # now all that was saved is there
        step, weights = outcome.patience.best_step, outcome.patience.best_weights
        with self.watchdog.slow("reading the best checkpoint"):
            refuse_unsound_best(self.run, step, outcome.reason, session.team)
            best = checkpoint_path(self.run.checkpoints, step)
            load_weights(best, session.state.model, FILE_OF[weights])
        evaluator = Evaluator(
            session.device, settings.data.precision, self.interrupted, session.team
        )
        rows, table = self.provisions.validation, self.provisions.token_bytes
        score = evaluator.score(session.state.model, rows, table)
        if score is None:
            raise self.stopped()
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

    def interrupted(self) -> bool:
        """Whether any process is to stop; all of them ask at the same time."""
        if self.agreement is None:
            return self.requested()
        return self.agreement.interrupted()

    def save(self, state: TrainState) -> None:
        """Write a checkpoint, or begin to, and remove those that nobody needs."""
        with self.watchdog.slow("saving a checkpoint"):
            self.scribe.saver.save(state)
            self.session.team.meet()  # who only waits has as much time as who saves

    def failed(self, message: str) -> None:
        """Write down that the run has failed, and why."""
        self.scribe.sum_up_failure(FAILED, message)


@contextmanager
def conductor_of(
    run: RunDir,
    session: Session,
    encodings: Encodings,
    choices: Choices,
    objective: Objective,
    signals: Signals,
    watchdog: Watchdog,
    voices: Voices,
    log: RunLog | None,
) -> Iterator[Conductor]:
    """Who trains the run, and writes it down if this process has its ``log``."""
    provisions = provisions_of(encodings, session.settings, session.team)
    tokenizer = provisions.tokenizer

    def gives_up() -> bool:
        watchdog.alive()  # who waits for a disk does not hang
        return signals.requested()

    with written_by(
        run, session, encodings, tokenizer, choices, gives_up, log
    ) as scribe:
        yield Conductor(
            *(run, session, provisions, choices, objective),
            *(scribe, signals, watchdog, voices),
        )
