"""What is due between two optimizer steps: an evaluation, a checkpoint, the end."""

from dataclasses import dataclass

from slangmod.data.dataset import TokenDataset
from slangmod.training.limits import Limits, passed
from slangmod.training.stages import is_over
from slangmod.training.state import TrainState


@dataclass(frozen=True, kw_only=True)
class Borders:
    """Tells, by counters alone, what is due; every process of a run finds the same."""

    limits: Limits
    eval_freq: int | None
    save_freq: int | None

    def reason_to_end(self, state: TrainState, train: TokenDataset) -> str | None:
        """Which limit has been reached, if any."""
        counters, limits = state.counters, self.limits
        if is_over(limits.max_epochs, counters, train):
            return "max_epochs"
        if limits.max_steps is not None and counters.step >= limits.max_steps:
            return "max_steps"
        if limits.max_seconds is not None and counters.seconds >= limits.max_seconds:
            return "max_time"
        looked_now = counters.evaluated_batch == counters.batch
        if looked_now and state.convergence.reached:
            return "converged"
        if state.patience.steps.exhausted(counters.step):
            return "patience_steps"
        if state.patience.exhausted and self.epoch_ended(state, train):
            return "patience"
        if limits.stage is not None and self.stage_ended(state, train):
            return limits.stage.reason
        return None

    def stage_ended(self, state: TrainState, train: TokenDataset) -> bool:
        """Whether the stage has lasted as long as it should."""
        stage = self.limits.stage
        return stage is not None and stage.reached(state.counters, train)

    def epoch_ended(self, state: TrainState, train: TokenDataset) -> bool:
        """Whether the last mini-batch was the last of its epoch, or of a stage."""
        whole = state.counters.batch == train.batches_until(state.counters.epoch)
        return whole or self.stage_ended(state, train)

    def evaluation_due(self, state: TrainState, train: TokenDataset) -> bool:
        """Every ``eval_freq`` mini-batches (unset: each epoch), and ending a stage."""
        counters = state.counters
        if counters.evaluated_batch == counters.batch:
            return False
        if self.eval_freq is None or self.stage_ended(state, train):
            return self.epoch_ended(state, train)
        return passed(self.eval_freq, counters.evaluated_batch, counters.batch)

    def checkpoint_due(self, state: TrainState, train: TokenDataset) -> bool:
        """Each epoch, every ``save_freq`` mini-batches, and whatever is best so far."""
        counters = state.counters
        if counters.saved_batch == counters.batch:
            return False
        freq = self.save_freq
        return (
            self.epoch_ended(state, train)
            or state.patience.best_step == counters.step
            or (freq is not None and passed(freq, counters.saved_batch, counters.batch))
        )
