"""What a person sees of training: a bar on a terminal, plain lines anywhere else.

All of it goes to standard error, through tqdm or logging.
"""

import logging
import math
from typing import TextIO

from tqdm import tqdm

from slangmod.training.events import (
    EpochDone,
    Event,
    Progress,
    StepDone,
    TrainingDone,
)

LOG = logging.getLogger(__name__)

BAR = (
    "{desc}{percentage:3.0f}% |{bar}| "
    "{n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
)
SHARE_BETWEEN_LINES = 0.05
SECONDS_BETWEEN_LINES = (2.0, 60.0)
"""Plain lines come at every twentieth of the way, not more and not less often."""


REASONS = {
    "max_epochs": "all epochs are done",
    "max_steps": "train.max_steps is reached",
    "max_time": "train.max_time is over",
    "patience": "the test loss has not got better for train.patience epochs",
}
"""Why training ends, in words."""


def open_progress(show_bar: bool, stream: TextIO) -> "ProgressBar | ProgressLines":
    """A bar where ``stream`` is a terminal and one is wanted, plain lines elsewhere."""
    return ProgressBar(stream) if show_bar and stream.isatty() else ProgressLines()


def short_count(number: float) -> str:
    """At most four signs: 7, 999, 1k, 9.4k, 41k, 1.2M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size * 0.9995:
            digits = 1 if number < size * 9.95 else 0
            return f"{number / size:.{digits}f}".removesuffix(".0") + letter
    return f"{number:.0f}"


def short_time(seconds: float) -> str:
    """1h02m, 3m20s or 12s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def numbers(step: StepDone) -> str:
    """Loss, rate and speed of a logged step, in columns that stay put."""
    rate = "" if step.learning_rate is None else f"lr {step.learning_rate:.2e} | "
    return (
        f"loss {step.loss:7.4f} | {rate}{short_count(step.tokens_per_second)} tokens/s"
    )


class ProgressBar:
    """A tqdm bar over all planned mini-batches; log lines appear above it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: tqdm[None] | None = None
        self._handlers: list[logging.Handler] = []

    def __call__(self, event: Event) -> None:
        """Move the bar, or change the numbers beside it."""
        if isinstance(event, Progress):
            bar = self._opened(event) if self._bar is None else self._bar
            bar.total = event.batches
            bar.update(event.batch - bar.n)
        elif isinstance(event, StepDone) and self._bar is not None:
            self._bar.set_description_str(f"epoch {event.epoch} ", refresh=False)
            self._bar.set_postfix_str(numbers(event), refresh=False)
        elif isinstance(event, TrainingDone):
            self.close()

    def close(self) -> None:
        """Leave the bar as it is and let log lines go their own way again."""
        for handler in self._handlers:
            handler.removeFilter(self._make_way)
        self._handlers.clear()
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _opened(self, event: Progress) -> "tqdm[None]":
        self._bar = tqdm(
            total=event.batches,
            initial=event.batch,
            bar_format=BAR,
            file=self._stream,
            dynamic_ncols=True,
            unit="batch",
        )
        for handler in logging.getLogger("slangmod").handlers:
            if getattr(handler, "stream", None) is self._stream:
                handler.addFilter(self._make_way)
                self._handlers.append(handler)
        return self._bar

    def _make_way(self, record: logging.LogRecord) -> bool:
        """Wipe the bar before ``record`` is printed; its next move draws it anew."""
        del record
        if self._bar is not None:
            self._bar.clear()
        return True


class ProgressLines:
    """A log line at each twentieth of the way, and at least one a minute."""

    def __init__(self) -> None:
        self._last: Progress | None = None
        self._step: StepDone | None = None

    def __call__(self, event: Event) -> None:
        """Log a line if one is due."""
        if isinstance(event, StepDone):
            self._step = event
        elif isinstance(event, Progress):
            if self._last is None:
                self._last = self._first = event
            elif self._is_due(event, self._last):
                self._last = event
                self._report(event)

    def close(self) -> None:
        """Nothing is held."""

    def _is_due(self, now: Progress, last: Progress) -> bool:
        least, most = SECONDS_BETWEEN_LINES
        waited = now.seconds - last.seconds
        share = SHARE_BETWEEN_LINES * now.batches
        crossed = now.batch // share > last.batch // share
        return waited >= most or (crossed and waited >= least)

    def _report(self, now: Progress) -> None:
        done = now.batch - self._first.batch
        left = (now.seconds - self._first.seconds) / done * (now.batches - now.batch)
        LOG.info(
            "batch %*d/%d (%3.0f %%) | %s | %s left",
            len(str(now.batches)),
            now.batch,
            now.batches,
            100 * now.batch / now.batches,
            numbers(self._step) if self._step else f"{short_count(now.tokens)} tokens",
            short_time(left),
        )


class LogLines:
    """A log line in fixed columns for each evaluation, and one for the end."""

    def __call__(self, event: Event) -> None:
        """Log evaluations and the end of training."""
        if isinstance(event, EpochDone):
            LOG.info(
                "epoch %3d | step %7d | train %.4f | test %.4f | perplexity %8.2f | "
                "lr %.2e | %7s%s",
                event.epoch,
                event.step,
                event.train_loss,
                event.test_loss,
                perplexity(event.test_loss),
                event.learning_rate,
                short_time(event.seconds),
                " | best" if event.best else "",
            )
        elif isinstance(event, TrainingDone):
            LOG.info(
                "stopped after %d steps in %d epochs because %s; "
                "best test loss %.4f at step %d",
                event.steps,
                event.epochs,
                REASONS.get(event.reason, event.reason),
                event.best_test_loss,
                event.best_step,
            )


def perplexity(loss: float) -> float:
    """exp(loss), infinite where that is beyond all numbers."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
