"""What time went into, in shares and in words, and what would make better use of it."""

from collections.abc import Mapping
from typing import NamedTuple

from slangmod.runs.wording import percent
from slangmod.training.times import (
    CHECKPOINT,
    COMPUTE,
    DATA,
    EVALUATION,
    LEARNING,
    LOGGING,
    OPTIMIZER,
    PARTS,
    REST,
)

NAMES = {
    DATA: "data",
    COMPUTE: "forward and backward",
    OPTIMIZER: "optimizer",
    EVALUATION: "evaluation",
    CHECKPOINT: "checkpoint",
    LOGGING: "logging",
    REST: "rest",
}
"""What the parts are called to a person."""


class Advice(NamedTuple):
    """When a part of the work takes too long, and what to do then."""

    most: float
    """share of the time that is still well"""
    into: str
    """what the time goes into"""
    way_out: str


ADVICE = {
    DATA: Advice(
        0.05, "waiting for rows", "a workdir on a faster disk of this machine helps"
    ),
    LOGGING: Advice(
        0.05,
        "tables, samples and trackers",
        "a larger train.cb_freq or samples.every helps",
    ),
    CHECKPOINT: Advice(
        0.1,
        "saving checkpoints",
        "a larger checkpoint.every or checkpoint.background = true helps",
    ),
    EVALUATION: Advice(
        0.25, "evaluations on the test split", "a larger train.eval_freq helps"
    ),
    REST: Advice(0.1, "what lies between the steps", "a larger train.batch_size helps"),
}
"""Of each part by which nothing is learnt."""


def shares(times: Mapping[str, float]) -> dict[str, float]:
    """The share of each part of all the time in ``times``; none where there is none.

    >>> shares({"data": 1.0, "forward_backward": 3.0})["data"]
    0.25
    """
    whole = sum(times.values())
    return {part: times.get(part, 0.0) / whole for part in PARTS} if whole else {}


def bottleneck(times: Mapping[str, float]) -> str | None:
    """The part that takes the most of what is more than well, if any does.

    >>> bottleneck({"data": 3.0, "checkpoint": 2.0, "forward_backward": 5.0})
    'data'
    """
    known = shares(times)
    found = [part for part in ADVICE if known.get(part, 0.0) > ADVICE[part].most]
    return max(found, key=lambda part: known[part], default=None)


def verdict(times: Mapping[str, float]) -> str | None:
    """In one line whether time goes into learning; None where none has passed.

    >>> verdict({"data": 1.0, "forward_backward": 2.0})
    'data: 33 % of the time went into waiting for rows; a workdir on a faster disk \
of this machine helps'
    """
    known = shares(times)
    if not known:
        return None
    part = bottleneck(times)
    if part is None:
        learning = sum(known[part] for part in LEARNING)
        return f"no bottleneck: {percent(learning)} of the time went into learning"
    advice = ADVICE[part]
    return (
        f"{NAMES[part]}: {percent(known[part])} of the time went into {advice.into}; "
        f"{advice.way_out}"
    )


def in_parts(times: Mapping[str, float]) -> str:
    """The shares in one line, the largest first; those that round to nothing are not.

    >>> in_parts({"data": 0.5, "forward_backward": 99.0, "optimizer": 10.0})
    'forward and backward 90.4 %, optimizer 9.1 %, data 0.5 %'
    """
    known = sorted(shares(times).items(), key=lambda pair: -pair[1])
    return ", ".join(
        f"{NAMES[part]} {100 * share:.1f} %" for part, share in known if share >= 5e-4
    )
