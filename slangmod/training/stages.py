"""The stages of a run as training sees them: where each ends, how long it will be."""

from dataclasses import dataclass
from typing import NamedTuple

from slangmod.data.dataset import EXACT_EPOCHS, TokenDataset
from slangmod.training.state import Counters


@dataclass(frozen=True)
class StageEnd:
    """After which epoch or optimizer step of the run a stage ends."""

    epoch: int | None
    """None where ``step`` says it"""
    step: int | None
    """None where ``epoch`` says it"""
    last: bool
    """whether the run ends with it"""

    def reached(self, counters: Counters, train: TokenDataset) -> bool:
        """Whether the stage, whose rows are ``train``, has come to its end."""
        if self.step is not None:
            return counters.step >= self.step
        return is_over(self.epoch, counters, train)

    @property
    def reason(self) -> str | None:
        """What ends the run here; None where another stage follows."""
        if not self.last:
            return None
        return "max_epochs" if self.step is None else "stages"


def is_over(epoch: int | None, counters: Counters, train: TokenDataset) -> bool:
    """Whether all mini-batches of ``epoch`` are done; None never is."""
    if epoch is None or counters.epoch < epoch:
        return False
    return counters.batch >= train.batches_until(epoch)


class Length(NamedTuple):
    """How long a stage will be, before it begins."""

    batches: int
    """mini-batches at most: where steps are counted, all of them count as full ones"""
    steps: int
    """optimizer steps"""
    epochs: int
    """epochs begun"""


def planned_length(
    train: TokenDataset, step_freq: int, epochs: int | None, steps: int | None
) -> Length:
    """Length of a stage that ends after ``epochs`` or ``steps``, whichever is first.

    One of the two may be None. Beyond EXACT_EPOCHS it is an estimate, as in
    ``TokenDataset.batches_planned``.
    """
    done = taken = 0
    while (epochs is None or done < epochs) and (steps is None or taken < steps):
        if done == EXACT_EPOCHS:
            group = -(-train.most_in_epoch // step_freq)
            left = [] if epochs is None else [epochs - done]
            left += [] if steps is None else [-(-(steps - taken) // group)]
            done, taken = done + min(left), taken + min(left) * group
            break
        done += 1
        number = train.epochs_before + done
        size = train.batches_until(number) - train.batches_until(number - 1)
        taken += -(-size // step_freq)
    batches = [] if epochs is None else [train.batches_planned(epochs)]
    batches += [] if steps is None else [steps * step_freq]
    return Length(min(batches), taken if steps is None else min(taken, steps), done)
