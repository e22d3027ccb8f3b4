"""A team of threads: what processes do together, without any."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from slangmod.parallel.team import Team

LONGEST = 60.0
"""Seconds after which a thread that nobody meets gives up."""


@dataclass
class Table:
    """Where threads meet: each puts something down, and sees what all have."""

    size: int
    barrier: threading.Barrier = field(init=False)
    places: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.barrier = threading.Barrier(self.size)
        self.places = [None] * self.size

    def exchanged(self, rank: int, what: Any) -> list[Any]:
        self.places[rank] = what
        self.barrier.wait(LONGEST)
        seen = list(self.places)
        self.barrier.wait(LONGEST)
        return seen


@dataclass(frozen=True)
class Threads(Team):
    """A member of such a team."""

    table: Table = field(default_factory=lambda: Table(1))

    @property
    def alone(self) -> bool:
        return False

    def sum(self, tensor: Tensor) -> Tensor:
        each = self.table.exchanged(self.rank, tensor.clone())
        total = each[0].clone()
        for one in each[1:]:
            total += one
        return tensor.copy_(total)

    def gather(self, tensor: Tensor, to: int) -> list[Tensor]:
        each = self.table.exchanged(self.rank, tensor)
        return each if to == self.rank else []

    def scatter(self, tensors: list[Tensor], like: Tensor, of: int) -> Tensor:
        return self.table.exchanged(self.rank, tensors)[of][self.rank]

    def any(self, flag: bool) -> bool:
        return any(self.table.exchanged(self.rank, flag))

    def meet(self) -> None:
        self.any(False)

    def texts(self, text: str) -> list[str]:
        return self.table.exchanged(self.rank, text)

    def text(self, text: str) -> str:
        return self.texts(text)[0]


def together(size: int, act: Callable[[Team], Any]) -> list[Any]:
    """What ``act`` gives, or raises, in each member of a team of ``size``."""
    table = Table(size)

    def member(rank: int) -> Any:
        try:
            return act(Threads(rank, size, table=table))
        except Exception as error:
            return error

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(member, range(size)))
