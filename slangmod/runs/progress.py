"""What a person sees of training: a bar on a terminal, plain lines anywhere else.

All of it goes to standard error, through tqdm or logging.
"""

import logging
from collections import deque
from typing import TextIO

from tqdm import tqdm

from slangmod.runs.wording import percent, short_count, short_time
from slangmod.training.events import (
    EpochDone,
    Event,
    Progress,
    StepDone,
    TrainingDone,
    perplexity,
)

LOG = logging.getLogger(__name__)

BAR = (
    "{desc}{percentage:3.0f}% |{bar}| "
    "{n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
)
SHARE_BETWEEN_LINES = 0.05
SECONDS_BETWEEN_LINES = (2.0, 60.0)
"""Plain lines come at every twentieth of the way, not more and not less often."""


def open_progress(show_bar: bool, stream: TextIO) -> "ProgressBar | ProgressLines":
    """A bar where ``stream`` is a terminal and one is wanted, plain lines elsewhere."""
    return ProgressBar(stream) if show_bar and stream.isatty() else ProgressLines()


def numbers(
    step: StepDone | None, speed: float, best_speed: float | None = None
) -> str:
    """Loss, rate and speed, in columns that stay put; what is unknown is left out.

    ``best_speed``: tokens per second at the peak of the device, for the MFU.
    """
    parts = [f"{short_count(speed)} tokens/s"]
    if best_speed is not None:
        parts.append(f"MFU {percent(speed / best_speed):>5}")
    if step is not None:
        if step.learning_rate is not None:
            parts.insert(0, f"lr {step.learning_rate:.2e}")
        if step.loss is not None:
            parts.insert(0, f"loss {step.loss:7.4f}")
    return " | ".join(parts)


class Speed:
    """Target tokens per second over the last ten seconds or so."""

    def __init__(self) -> None:
        self._marks: deque[Progress] = deque(maxlen=10)

    def after(self, now: Progress) -> float:
        """The speed, given where training is ``now``."""
        if not self._marks or now.seconds - self._marks[-1].seconds >= 1.0:
            self._marks.append(now)
        begin = self._marks[0]
        seconds = now.seconds - begin.seconds
        return (now.tokens - begin.tokens) / seconds if seconds > 0 else 0.0


class ProgressBar:
    """A tqdm bar over all planned mini-batches; log lines appear above it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._speed = Speed()
        self._step: StepDone | None = None
        self._bar: tqdm[None] | None = None
        self._handlers: list[logging.Handler] = []
        self.best_speed: float | None = None

    def __call__(self, event: Event) -> None:
        """Move the bar, or change the numbers beside it."""
        if isinstance(event, Progress):
            bar = self._opened(event) if self._bar is None else self._bar
            speed = self._speed.after(event)
            shown = numbers(self._step, speed, self.best_speed)
            bar.set_postfix_str(shown, refresh=False)
            bar.total = event.batches
            bar.update(event.batch - bar.n)
        elif isinstance(event, StepDone):
            self._step = event
            if self._bar is not None:
                self._bar.set_description_str(f"epoch {event.epoch} ", refresh=False)
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
        self.best_speed: float | None = None

    def __call__(self, event: Event) -> None:
        """Log a line if one is due."""
        if isinstance(event, StepDone):
            self._step = event
        elif isinstance(event, Progress):
            if self._last is None:
                self._last = self._first = event
            elif self._is_due(event, self._last):
                self._report(event, self._last)
                self._last = event

    def close(self) -> None:
        """Nothing is held."""

    def _is_due(self, now: Progress, last: Progress) -> bool:
        least, most = SECONDS_BETWEEN_LINES
        waited = now.seconds - last.seconds
        share = SHARE_BETWEEN_LINES * now.batches
        crossed = now.batch // share > last.batch // share
        return waited >= most or (crossed and waited >= least)

    def _report(self, now: Progress, last: Progress) -> None:
        done = now.batch - self._first.batch
        speed = (now.tokens - last.tokens) / (now.seconds - last.seconds)
        left = (now.seconds - self._first.seconds) / done * (now.batches - now.batch)
        LOG.info(
            "batch %*d/%d (%3.0f %%) | %s | %s left",
            len(str(now.batches)),
            now.batch,
            now.batches,
            100 * now.batch / now.batches,
            numbers(self._step, speed, self.best_speed),
            short_time(left),
        )


class LogLines:
    """A log line in fixed columns for each evaluation, and one for the end."""

    def __call__(self, event: Event) -> None:
        """Log evaluations and the end of training."""
        if isinstance(event, EpochDone):
            average, train = event.ema_test_loss, event.train_loss
            LOG.info(
                "epoch %3d | step %7d | train %s | test %.4f%s | perplexity %8.2f | "
                "lr %.2e | %7s%s",
                event.epoch,
                event.step,
                "  none" if train is None else f"{train:.4f}",
                event.test_loss,
                "" if average is None else f" | average {average:.4f}",
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
                event.why,
                event.best_test_loss,
                event.best_step,
            )
