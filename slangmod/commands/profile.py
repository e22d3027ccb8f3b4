"""``slangmod profile``: what a few steps of a training spend their time on."""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

import torch
from torch.profiler import profile

from slangmod.commands.call import Call
from slangmod.commands.choosing import say
from slangmod.commands.classes import check_classes
from slangmod.commands.costs import Yardstick, flops_per_token
from slangmod.commands.counting import amount
from slangmod.commands.fitting import rows_at_once
from slangmod.commands.initial import initial_weights
from slangmod.commands.session import Session, build_trainer, open_session
from slangmod.commands.stepping import choose_step
from slangmod.data.shards import check_fresh
from slangmod.errors import UserError
from slangmod.files import write_bytes
from slangmod.runs.efficiency import NAMES, shares
from slangmod.runs.wording import percent, short_count
from slangmod.settings.sections import Settings
from slangmod.syncing import make_folder
from slangmod.training.device import choose_device, reproducible
from slangmod.training.evaluate import never
from slangmod.training.feed import Feed
from slangmod.training.guard import Guard
from slangmod.training.peak import peak_of
from slangmod.training.profiling import (
    Operator,
    labelling_for,
    operators_of,
    profiler_for,
)
from slangmod.training.step import Objective
from slangmod.training.times import PARTS
from slangmod.training.trainer import Trainer

LOG = logging.getLogger(__name__)

FOLDER: Final = "profiles"
"""Of traces, below the working directory."""
WARM_UP: Final = 3
"""Steps before those that count: they set up optimizer, kernels and memory."""
STEPS: Final = 3
MOST_STEPS: Final = 100
"""A trace of more is too large to be looked at."""
MOST_OPERATORS: Final = 15


@dataclass(frozen=True)
class Found:
    """What some steps took."""

    steps: int
    seconds: float
    """of all of them, without the profiler"""
    tokens: int
    times: Mapping[str, float]
    """seconds by part, without the profiler"""
    operators: Sequence[Operator]
    trace: profile


def run(call: Call) -> None:
    """Take some steps, print what they took, and write the trace."""
    settings, steps = call.settings, steps_of(call.flags.get("steps"))
    target = target_of(call)
    encodings = check_fresh(settings)
    device = choose_device(settings.data.device)
    check_classes(settings, encodings.manifest.vocab, device)
    weights = initial_weights(settings, encodings)
    threads = settings.threads or torch.get_num_threads()
    deterministic = settings.deterministic or device.type == "cpu"
    with reproducible(deterministic, threads):
        session = open_session(settings, encodings, device, weights=weights)
        rows = rows_at_once(settings, encodings.manifest.vocab, device)
        objective, compiled = choose_step(session, settings.model.compile, rows)
        found = look(session, objective, steps, rows)
        write_trace(found.trace, target)
        stick = Yardstick(
            peak_of(device, settings.data.precision),
            flops_per_token(session.stage, encodings.manifest.vocab),
        )
    how = "compiled" if compiled else "not compiled"
    where = f"{device}, {amount(threads, 'thread')}, {settings.data.precision}, {how}"
    say(page(found, stick, where))
    LOG.info("the trace is %s; https://ui.perfetto.dev shows it", target)


def steps_of(given: object) -> int:
    """How many steps to profile; UserError if that is no number of steps."""
    if given is None:
        return STEPS
    text = str(given)
    if not text.isdecimal() or not 1 <= int(text) <= MOST_STEPS:
        raise UserError(
            f"--steps {text}: give a number of optimizer steps from 1 to {MOST_STEPS}"
        )
    return int(text)


def target_of(call: Call) -> Path:
    """The file of the trace: that of --output, or a new one in the working directory.

    Raises UserError where no file can be.
    """
    if output := call.flags.get("output"):
        path = Path(str(output))
        if path.is_dir() or not path.parent.is_dir():
            raise UserError(f"--output {path}: is no file in a folder that exists")
        return path
    return free_name(call.settings, datetime.now().astimezone())


def free_name(settings: Settings, now: datetime) -> Path:
    """A file below the working directory that is not there, by name or time."""
    folder = Path(settings.workdir) / FOLDER
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is no folder; move it, or give --output FILE")
    name = settings.name or now.strftime("%Y-%m-%d-%Hh%Mm%Ss")
    number, path = 1, folder / f"{name}.json"
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}.json"
    return path


def look(session: Session, objective: Objective, steps: int, rows: int | None) -> Found:
    """Warm up, take ``steps`` for the times, and as many once more for the trace.

    ``rows``: computed at a time; None: those of a mini-batch.
    """
    trainer = build_trainer(
        session, objective, save=nothing, requested=never, tell=nothing, rows=rows
    )
    counters, times = session.state.counters, session.state.times
    with stepping(trainer, session) as take:
        take(WARM_UP)
        before, seconds, tokens = dict(times), counters.seconds, counters.tokens
        take(steps)
    after = {part: times[part] - before[part] for part in PARTS}
    seconds, tokens = counters.seconds - seconds, counters.tokens - tokens
    labelled = replace(trainer, stopwatch=labelling_for)
    with profiler_for(session.device) as profiler, stepping(labelled, session) as take:
        take(steps)
    operators = operators_of(profiler, session.device)
    return Found(steps, seconds, tokens, after, operators, profiler)


class Take:
    """Takes steps, one after the other."""

    def __init__(self, trainer: Trainer, session: Session, feed: Feed) -> None:
        self._trainer, self._session, self._feed = trainer, session, feed
        state = session.state
        self._guard = Guard(state, trainer.rules, session.device, trainer.tell)
        self.ledger = trainer.open_ledger(state, self._guard)

    def __call__(self, steps: int) -> None:
        """Take so many; the device has done them on return."""
        state, train = self._session.state, self._session.train
        state.model.train()
        for _ in range(steps):
            self._trainer.take_step(state, train, self._feed, self._guard, self.ledger)
        self.ledger.flush()
        self.ledger.pass_time()


@contextmanager
def stepping(trainer: Trainer, session: Session) -> Iterator[Take]:
    """What takes the steps that come next in ``session``, as training does."""
    with Feed(session.train, session.device) as feed:
        yield Take(trainer, session, feed)


def nothing(_: object) -> None:
    """Nothing is saved, and nobody told."""


def write_trace(trace: profile, path: Path) -> None:
    """Write ``trace`` as browsers read it, all or nothing."""
    make_folder(path.parent)
    with tempfile.TemporaryDirectory() as folder:
        aside = Path(folder) / "trace.json"
        trace.export_chrome_trace(str(aside))
        write_bytes(path, aside.read_bytes())


def page(found: Found, stick: Yardstick, where: str) -> str:
    """All that was found, for a person."""
    speed = found.tokens / found.seconds
    head = (
        f"{found.seconds / found.steps:.3g} s a step, {short_count(speed)} tokens/s, "
        f"MFU {percent(speed / stick.best_speed)}: "
        f"{amount(found.steps, 'step')} after {WARM_UP}, on {where}\n"
    )
    return "\n".join([head, *parts_of(found), "", *operators_page(found)]) + "\n"


def parts_of(found: Found) -> Iterator[str]:
    """What the time goes into, a line each."""
    yield f"{'part of a step':<40}{'ms':>12}{'share':>9}"
    for part, share in shares(found.times).items():
        each = 1000 * found.times[part] / found.steps
        yield f"{NAMES[part]:<40}{each:>12.3f}{100 * share:>7.1f} %"


def operators_page(found: Found) -> Iterator[str]:
    """The operators that take longest, a line each."""
    whole = sum(one.seconds for one in found.operators)
    yield f"{'operator':<40}{'ms a step':>12}{'share':>9}{'calls a step':>14}"
    for one in found.operators[:MOST_OPERATORS]:
        name = one.name if len(one.name) < 40 else f"{one.name[:36]}..."
        each, calls = 1000 * one.seconds / found.steps, one.calls / found.steps
        share = 100 * one.seconds / whole if whole else 0.0
        yield f"{name:<40}{each:>12.3f}{share:>7.1f} %{calls:>14.6g}"
