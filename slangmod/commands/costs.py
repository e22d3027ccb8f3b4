"""What a run has cost: time and what it went into, operations, memory."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slangmod.commands.measuring import SpeedWatch
from slangmod.commands.recording import Recording
from slangmod.commands.session import Session
from slangmod.runs.efficiency import in_parts, verdict
from slangmod.runs.wording import operations, percent, short_count, short_time
from slangmod.settings.flops import flops_of_token
from slangmod.settings.sections import Settings
from slangmod.training.memory import peak_memory
from slangmod.training.peak import Peak

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Yardstick:
    """What speed is measured by: the peak of the device, and what a token takes."""

    peak: Peak
    flops_per_token: float

    @property
    def best_speed(self) -> float:
        """Tokens per second if the device did nothing else, as fast as it can."""
        return self.peak.flops / self.flops_per_token


def flops_per_token(settings: Settings, vocab: int) -> int:
    """Operations of a token, forward and backward, by the formula of settings/flops."""
    return flops_of_token(settings.model, vocab, settings.data.seq_len).total


def flops_of_run(
    session: Session, vocab: int, stages: Sequence[Mapping[str, Any]]
) -> float:
    """Operations of a token; where rows differ between stages, of a mean one.

    ``stages`` are those of the summary; none of a run without.
    """
    each: list[tuple[int, int]] = [
        (table["tokens"], flops_per_token(leg.plan.settings, vocab))
        for table, leg in zip(stages, session.legs, strict=False)
    ]
    tokens = sum(count for count, _ in each)
    if not tokens:
        return flops_per_token(session.stage, vocab)
    return sum(count * flops for count, flops in each) / tokens


def open_speed(
    session: Session, vocab: int, peak: Peak, recording: Recording
) -> SpeedWatch:
    """What tells how fast a stage is; the bar does so, too, from now on."""
    stick = Yardstick(peak, flops_per_token(session.stage, vocab))
    recording.measure_by(stick.best_speed)
    return SpeedWatch(recording.speed, session.state, stick.best_speed)


def cost_of(
    session: Session, vocab: int, peak: Peak, stages: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The table [cost] of a summary that has ``stages``.

    mfu is tokens_per_second * flops_per_token / peak_flops: all the time counts.
    """
    counters, times = session.state.counters, session.state.times
    stick = Yardstick(peak, flops_of_run(session, vocab, stages))
    speed = counters.tokens / max(counters.seconds, 1e-9)
    return {
        "seconds": counters.seconds,
        "tokens": counters.tokens,
        "tokens_per_second": speed,
        "mfu": speed / stick.best_speed,
        "flops_per_token": stick.flops_per_token,
        "peak_flops": peak.flops,
        "peak_source": peak.source,
        "peak_memory_bytes": peak_memory(session.device),
        **{f"{part}_seconds": seconds for part, seconds in times.items()},
        "verdict": verdict(times),
    }


def tell_cost(session: Session, cost: Mapping[str, Any]) -> None:
    """Log how fast training was, what its time went into, and what to make of it."""
    LOG.info(
        "%s tokens/s | MFU %s: %s a token, of %s/s (%s)",
        short_count(cost["tokens_per_second"]),
        percent(cost["mfu"]),
        operations(cost["flops_per_token"]),
        operations(cost["peak_flops"]),
        cost["peak_source"],
    )
    times = session.state.times
    if cost["verdict"] is not None:
        LOG.info("%s: %s", short_time(cost["seconds"]), in_parts(times))
        LOG.info("%s", cost["verdict"])
