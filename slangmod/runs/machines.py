"""Figures of machines that were measured before, and of programs that others wrote."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slangmod.settings.read import read_toml

TABLE = Path(__file__).with_name("machines.toml")


@dataclass(frozen=True)
class Machine:
    """What ``slangmod bench`` found somewhere."""

    name: str
    date: str
    """year and month"""
    device: str
    threads: int
    float32: float
    """FLOP/s of matrix products"""
    bfloat16: float
    bytes_per_second: float
    """of memory, read and written"""
    tokens_per_second: Mapping[str, float] = field(default_factory=dict)
    """of the reference model in training, by precision"""


@dataclass(frozen=True)
class Cited:
    """A figure that others published."""

    what: str
    source: str
    tokens_per_second: float | None = None
    mfu: float | None = None


def shipped() -> tuple[tuple[Machine, ...], tuple[Cited, ...]]:
    """What comes with slangmod."""
    tables, _ = read_toml(TABLE)
    machines = tuple(Machine(**table) for table in tables["machine"])
    return machines, tuple(Cited(**table) for table in tables["cited"])
