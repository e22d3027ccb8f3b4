"""No loss or gradient that is not finite ever reaches the weights; spikes are told."""

import logging
import math
from dataclasses import dataclass
from typing import Any

import torch

from slangmod.errors import RunError, is_out_of_memory
from slangmod.plugins import in_one_line
from slangmod.training.course import Rules
from slangmod.training.events import BadStep, Callback, Spike
from slangmod.training.reading import Reading
from slangmod.training.snapshot import OPTIMIZER
from slangmod.training.state import TrainState
from slangmod.training.step import StepResult

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Note:
    """Which optimizer step some numbers are of."""

    step: int
    """counted from 1"""
    epoch: int
    begin: int
    """mini-batches done before it"""
    tokens: list[int]
    """target tokens of each of its mini-batches"""
    learning_rate: float

    @property
    def batch(self) -> int:
        """Mini-batches done after it."""
        return self.begin + len(self.tokens)


class SpikeError(Exception):
    """Ends training because it is to go back from a spike; whoever trains does it."""

    def __init__(self, spike: Spike) -> None:
        super().__init__(f"the loss spikes at step {spike.step}")
        self.spike = spike


class Guard:
    """Lets an optimizer take a step only if loss and gradient are finite.

    Where the optimizer can decide that on the device (torch's fused ones), nothing
    is waited for: numbers are read when the next step has been queued, and once more
    steps in a row were bad than may be left out, all later ones leave the weights
    alone until that is read. Elsewhere they are read before each step, which costs
    nothing on a CPU. Either way the same is known at every ``check``.
    """

    def __init__(
        self, state: TrainState, rules: Rules, device: torch.device, tell: Callback
    ) -> None:
        self._state = state
        self._optimizer: Any = state.optimizer
        self._course, self._rules, self._tell = state.course, rules, tell
        self._stage = state.counters.stage
        groups = state.optimizer.param_groups
        fused = all(group.get("fused") for group in groups)
        weights = (weight for group in groups for weight in group["params"])
        there = all(weight.device.type == device.type for weight in weights)
        self.on_device = fused and there and device.type == "cuda"
        self._bad = torch.tensor(
            self._course.bad_in_a_row, dtype=torch.float64, device=device
        )
        self._unread: list[tuple[Note, Reading]] = []

    def take_step(self, result: StepResult, note: Note) -> None:
        """Take the optimizer step ``note``, or leave it out.

        Raises RunError if too many were bad, and SpikeError if training is to go back.
        """
        if self.on_device:
            self.check()
            self._take_unseen(result, note)
            return
        norm = float(result.grad_norm)
        losses = result.losses.tolist()
        finite = all(map(math.isfinite, (norm, *losses)))
        bad = 0 if finite else self._course.bad_in_a_row + 1
        self._judge(note, losses, norm, bad)
        if finite:
            self._step()

    def check(self) -> None:
        """Judge all steps that were taken; waits for them. Raises as ``take_step``."""
        unread, self._unread = self._unread, []
        for note, reading in unread:
            *losses, norm, bad = reading.numbers().tolist()
            self._judge(note, losses, norm, int(bad))

    def _take_unseen(self, result: StepResult, note: Note) -> None:
        """Let the device decide; what it did is read later."""
        good = result.finite & (self._bad <= self._rules.max_skips)
        self._bad = torch.where(good, 0.0, self._bad + 1)
        # Whatever is computed from it is not applied where this is not 0.
        self._optimizer.found_inf = (self._bad > 0).float()
        numbers = (result.losses, result.grad_norm.double()[None], self._bad[None])
        self._unread.append((note, Reading(torch.cat(numbers))))
        self._step()

    def _step(self) -> None:
        """Let the optimizer step; RunError if what was restored is not of its kind."""
        path, self._state.untried = self._state.untried, None
        try:
            self._optimizer.step()
        except Exception as error:  # whatever an optimizer makes of odd moments
            if path is None or is_out_of_memory(error):
                raise
            raise RunError(
                f"{path / OPTIMIZER}: does not fit this run: {in_one_line(error)}"
            ) from error

    def _judge(self, note: Note, losses: list[float], norm: float, bad: int) -> None:
        self._course.bad_in_a_row = bad
        if bad:
            self._refuse(note, losses, norm, bad)
        elif self._rules.on_spike != "ignore":
            self._compare(note, math.fsum(losses) / max(1, sum(note.tokens)))

    def _refuse(self, note: Note, losses: list[float], norm: float, bad: int) -> None:
        """Tell of a step that is not finite; RunError if it was one too many."""
        allowed = self._rules.max_skips
        bad_step = BadStep(
            note.step,
            note.epoch,
            note.begin,
            tuple(note.tokens),
            tuple(losses),
            norm,
            note.learning_rate,
            self._stage,
            bad,
            allowed,
        )
        self._tell(bad_step)
        if bad > allowed:
            raise refusal(bad_step)
        self._course.skipped += 1

    def _compare(self, note: Note, loss: float) -> None:
        """Tell of a spike; SpikeError where it is to be gone back from."""
        level = self._course.enter(loss, self._rules)
        if level is None:
            return
        limit = level.limit(self._rules.sigma)
        spike = Spike(note.step, note.batch, loss, *level, limit, self._stage)
        self._tell(spike)
        if self._rules.on_spike == "rewind":
            raise SpikeError(spike)


def refusal(bad: BadStep) -> RunError:
    """The error that ends a run which has diverged."""
    before = f" after {bad.allowed} that were left out" if bad.allowed else ""
    return RunError(
        f"step {bad.step} (mini-batch {bad.batch}): loss {bad.loss:g}, "
        f"gradient norm {bad.grad_norm:g} is not finite{before}; it has not reached "
        "the weights, and the last checkpoint is from before; a smaller "
        "train.learning_rate, a longer train.warmup or a smaller train.clip_grad may "
        f"help, and slangmod replay --step {bad.step} shows where it comes from"
    )


def judge_evaluation(step: int, loss: float, rules: Rules) -> None:
    """Raise RunError where a test loss is not finite; tell of it where some may be.

    Each step was finite, but weights that are huge make outputs that are not.
    """
    if math.isfinite(loss):
        return
    told = (
        f"step {step}: the test loss is {loss:g}: steps were finite, but the weights "
        "have diverged; a smaller train.learning_rate, a longer train.warmup or a "
        "smaller train.clip_grad may help"
    )
    if rules.max_skips == 0:
        raise RunError(told)
    LOG.warning("%s", told)
