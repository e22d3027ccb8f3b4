"""Where a planned training looks up: stages, evaluations, checkpoints, by step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slangmod.settings.course import Data, Leg


@dataclass(frozen=True)
class Milestones:
    """Optimizer steps after which something happens, counted over the training."""

    stages: tuple[int, ...] = ()
    """the last step of each stage"""
    epochs: tuple[int, ...] = ()
    """the last step of each epoch; none where the data are not at hand"""
    evaluations: tuple[int, ...] = ()
    checkpoints: tuple[int, ...] = ()
    """what is due, and after each evaluation as if it were the best so far"""


def milestones_of(
    legs: Sequence[Leg], data: Data | None, save_freq: int | None
) -> Milestones:
    """What happens after which step; ``save_freq``: ``checkpoint.every``."""
    stages: list[int] = []
    ends: list[int] = []
    evaluations: set[int] = set()
    saved: set[int] = set()
    first = epochs = 0
    for leg in legs:
        done = list(batches_done(leg))
        borders = set(borders_of(leg, data, epochs))
        epochs += len(leg.starts)
        whole = [first + n for n, at in enumerate(done, 1) if at in borders]
        freq = leg.plan.settings.train.eval_freq
        looks = crossings(done, leg.first, freq, first) if freq else whole
        every = crossings(done, leg.first, save_freq, first)
        saved |= {*whole, *every}
        first += len(done)
        stages.append(first)
        ends += whole
        evaluations |= {*looks, first}
    return Milestones(
        tuple(stages),
        tuple(ends),
        tuple(sorted(evaluations)),
        tuple(sorted(saved | evaluations)),
    )


def batches_done(leg: Leg) -> Iterator[int]:
    """Mini-batches of the whole training that are done after each step of ``leg``."""
    starts = [start for epoch in leg.starts for start in epoch]
    yield from starts[1:]
    if starts:
        yield leg.end


def borders_of(leg: Leg, data: Data | None, epochs: int) -> Iterator[int]:
    """Mini-batches done at the end of each epoch that ends in ``leg``.

    ``epochs`` were begun before it.
    """
    if data is None:
        return
    for number, epoch in enumerate(leg.starts, epochs + 1):
        end = epoch.start + data.batches_in(leg.plan.settings, number)
        if end <= leg.end:
            yield end


def crossings(
    done: Sequence[int], begin: int, freq: int | None, first: int
) -> Iterator[int]:
    """Steps in which a multiple of ``freq`` mini-batches is reached.

    ``done``: mini-batches after each step; ``begin``: before the first, which is
    number ``first`` + 1.

    >>> list(crossings([2, 4, 6, 7], begin=0, freq=3, first=10))
    [12, 13]
    """
    if freq is None:
        return
    before = begin
    for step, now in enumerate(done, first + 1):
        if now // freq > before // freq:
            yield step
        before = now
