"""The recipe: steps until it is enough, looking up now and then."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from slangmod.data.dataset import Batch, TokenDataset
from slangmod.parallel.shards import shards_of
from slangmod.parallel.team import ALONE, Team
from slangmod.settings.schedules import Schedule
from slangmod.training import times
from slangmod.training.borders import Borders
from slangmod.training.convergence import take_note
from slangmod.training.course import Rules
from slangmod.training.evaluate import Evaluator, never
from slangmod.training.events import Callback, EpochDone, TrainingDone
from slangmod.training.feed import Feed
from slangmod.training.guard import Guard, Note, judge_evaluation
from slangmod.training.ledger import Ledger
from slangmod.training.limits import Outcome
from slangmod.training.reasons import WHY
from slangmod.training.state import TrainState
from slangmod.training.step import (
    Objective,
    StepResult,
    accumulate_gradients,
    clip_gradients,
    left_out,
    set_learning_rate,
)
from slangmod.training.stopping import AVERAGE, CURRENT, Patience
from slangmod.training.stopwatch import Stopwatch, stopwatch_for
from slangmod.training.wrapping import UNWRAPPED, Wrapping


def as_it_is(_: TrainState) -> None:
    """What one process decides by is the same for all of it."""


@dataclass(frozen=True, kw_only=True)
class Trainer(Borders):
    """Takes optimizer steps, evaluates and saves where it is due, until the end.

    Of a run, or of one stage of it.
    """

    objective: Objective
    evaluator: Evaluator
    schedule: Schedule
    step_freq: int
    clip_grad: float
    cb_freq: int
    seed_chance: Callable[[int], None]
    """fixes the dropout of a mini-batch of the run"""
    save: Callable[[TrainState], None]
    clock: Callable[[], float]
    stop_requested: Callable[[], bool]
    tell: Callback
    planned: int
    """mini-batches of the whole run, at most"""
    rules: Rules = field(default_factory=Rules)
    """of the guard"""
    save_again: Callable[[], bool] = never
    """whether a checkpoint that could not be written should be tried again"""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    stopwatch: Callable[[torch.device], Stopwatch] = stopwatch_for
    """for what time goes into"""
    rows: int | None = None
    """computed at a time; None: those of a mini-batch"""
    team: Team = ALONE
    """the processes that train together, each with its part of the rows"""
    wrapping: Wrapping = UNWRAPPED
    """how their gradients become one"""
    agree: Callable[[TrainState], None] = as_it_is
    """makes what several processes decide by the same for all of them"""

    def fit(
        self, state: TrainState, train: TokenDataset, test: TokenDataset
    ) -> Outcome:
        """Train until a limit is reached, patience runs out, or a stop is requested.

        ``train`` holds the rows of the stage, if the run has stages.
        When it ends, the best state is the checkpoint of ``patience.best_step``.
        Raises RunError where it diverges, SpikeError where it is to go back.
        """
        guard = Guard(state, self.rules, self.device, self.tell)
        ledger = self.open_ledger(state, guard)
        state.model.train()
        with Feed(train, self.device) as feed:
            while True:
                if self.stage_ended(state, train):
                    ledger.round_off()
                if self.evaluation_due(state, train):
                    ledger.flush()
                    if not self.evaluate(state, test, ledger):
                        break
                if self.checkpoint_due(state, train):
                    ledger.flush()
                    self.save_due(state, ledger)
                elif self.save_again():  # which is no part of the state
                    ledger.flush()
                    self.save_now(state, ledger)
                self.agree(state)
                if reason := self.reason_to_end(state, train):
                    return self.end(reason, state, test, ledger)
                if self.stop_requested():
                    break
                if self.stage_ended(state, train):
                    return Outcome("next_stage", state.patience)
                self.take_step(state, train, feed, guard, ledger)
        ledger.flush()
        self.save_now(state, ledger)
        return Outcome("interrupted", state.patience)

    def take_step(
        self,
        state: TrainState,
        train: TokenDataset,
        feed: Feed,
        guard: Guard,
        ledger: Ledger,
    ) -> None:
        """One optimizer step over the next ``step_freq`` mini-batches of the epoch."""
        counters = state.counters
        begin = counters.batch
        epoch, _ = train.locate(begin)
        size = min(self.step_freq, train.batches_until(epoch) - begin)
        ledger.begin(epoch)
        with ledger.stopwatch.during(times.DATA):
            batches = [feed.batch(begin + place) for place in range(size)]
            whole = train.tokens_of(range(begin, begin + size))
        factor = self.schedule(begin)
        # Groups may have rates of their own, by the same factor.
        rate = state.optimizer.defaults["lr"] * factor
        if begin < state.course.resume_batch:
            ledger.enter(left_out(batches, self.device, whole), rate)
            return
        set_learning_rate(state.optimizer, factor)
        ledger.stopwatch.turn_to(times.COMPUTE)
        losses, tokens = self.learn(batches, begin, whole)
        ledger.stopwatch.turn_to(times.OPTIMIZER)
        norm = clip_gradients(
            list(state.model.parameters()), self.clip_grad, shards_of(state.model)
        )
        result = StepResult(losses, tokens, norm)
        guard.take_step(result, Note(counters.step + 1, epoch, begin, tokens, rate))
        state.optimizer.zero_grad(set_to_none=True)
        ledger.stopwatch.turn_to(times.REST)
        ledger.enter(result, rate)
        if state.average is not None:
            with ledger.stopwatch.during(times.OPTIMIZER):
                state.average.follow(state.model, counters.step)

    def learn(
        self, batches: list[Batch], begin: int, whole: list[int] | None
    ) -> tuple[Tensor, list[int]]:
        """Gradients of the step that begins with mini-batch ``begin``, by all together.

        -> losses [mini-batches] and target tokens, of the ``whole`` where ``batches``
        are parts.
        """
        losses, tokens = accumulate_gradients(
            self.objective,
            batches,
            self.device,
            lambda place: self.seed_chance(begin + place),
            self.rows,
            whole,
            self.wrapping.hold,
            self.wrapping.weight,
        )
        return self.team.sum(losses), tokens

    def save_now(self, state: TrainState, ledger: Ledger) -> None:
        """Save; the time for it counts as the next step's."""
        with ledger.stopwatch.during(times.CHECKPOINT):
            self.save(state)

    def save_due(self, state: TrainState, ledger: Ledger) -> None:
        """Save where a checkpoint is due."""
        state.counters.saved_batch = state.counters.batch
        state.course.take_refuge(state.counters.step, state.patience.best_step)
        self.save_now(state, ledger)

    def evaluate(self, state: TrainState, test: TokenDataset, ledger: Ledger) -> bool:
        """Look at the test split, where it is due; False if it was interrupted."""
        patience = self.look(state, test, ledger)
        if patience is None:
            return False
        state.patience = patience
        take_note(state)
        state.counters.evaluated_batch = state.counters.batch
        state.counters.evaluated_step = state.counters.step
        return True

    def look(
        self, state: TrainState, test: TokenDataset, ledger: Ledger
    ) -> Patience | None:
        """Evaluate, tell, and return what is known then; None if interrupted.

        Raises RunError where the weights have diverged.
        """
        counters = state.counters
        with ledger.stopwatch.during(times.EVALUATION):
            losses = self.test_losses(state, test)
        ledger.pass_time()
        if losses is None:
            return None
        # nan is below nothing, and above nothing either
        best = min(losses, key=lambda name: (math.isnan(losses[name]), losses[name]))
        patience = state.patience.after(
            counters.step, counters.epoch, losses[best], best
        )
        ledger.tell(
            EpochDone(
                counters.epoch,
                counters.step,
                counters.tokens,
                ledger.epoch_loss,
                losses[CURRENT],
                counters.learning_rate or 0.0,
                counters.seconds,
                patience.best_step == counters.step,
                losses.get(AVERAGE),
                stage=counters.stage,
            )
        )
        judge_evaluation(counters.step, losses[best], self.rules)
        return patience

    def test_losses(
        self, state: TrainState, test: TokenDataset
    ) -> dict[str, float] | None:
        """Of the weights and of their average, if any; None if interrupted."""
        score = self.evaluator.loss(state.model, test)
        if score is None or state.average is None:
            return score and {CURRENT: score.mean}
        with state.average.in_place_of(state.model):
            average = self.evaluator.loss(state.model, test)
        return average and {CURRENT: score.mean, AVERAGE: average.mean}

    def end(
        self, reason: str, state: TrainState, test: TokenDataset, ledger: Ledger
    ) -> Outcome:
        """Save, and evaluate what has been learnt since the last evaluation.

        What is saved knows nothing of that last look, so that a run with larger
        limits goes on from it as if it had never ended.
        """
        ledger.close()
        self.save_now(state, ledger)
        why = WHY[reason](state)
        patience: Patience | None = state.patience
        # It may be that what was seen is no longer comparable: then nothing is known.
        known = state.patience.last_epoch > 0
        if not known or state.counters.evaluated_batch < state.counters.batch:
            patience = self.look(state, test, ledger)
        if patience is None:
            return Outcome("interrupted", state.patience)
        ledger.tell(
            TrainingDone(
                reason,
                state.counters.step,
                state.counters.epoch,
                patience.best_step,
                patience.best_loss,
                why,
            )
        )
        return Outcome(reason, patience, why)

    def open_ledger(self, state: TrainState, guard: Guard) -> Ledger:
        """The books of the run."""
        return Ledger(
            state,
            guard,
            cb_freq=self.cb_freq,
            planned=self.planned,
            tell=self.tell,
            clock=self.clock,
            stopwatch=self.stopwatch(self.device),
        )
