"""``slangmod bench``: how fast this machine is, beside others."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import torch

from slangmod.commands.call import Call
from slangmod.commands.choosing import say
from slangmod.commands.compare import as_table
from slangmod.commands.counting import amount
from slangmod.commands.session import build_objective, new_state
from slangmod.runs.environment import environment
from slangmod.runs.machines import Cited, Machine, shipped
from slangmod.runs.wording import operations, percent, short_count
from slangmod.settings.flops import flops_of_token
from slangmod.settings.sections import Settings
from slangmod.training.calibration import Calibration, calibrate
from slangmod.training.device import choose_device, reproducible
from slangmod.training.speeds import Speeds, speeds_of
from slangmod.training.state import TrainState
from slangmod.training.step import Objective

LOG = logging.getLogger(__name__)

PRECISIONS: Final = ("float32", "bfloat16")

PLAIN: Final = {
    "model.dropout": 0.0,
    "model.compile": False,
    "train.label_smoothing": 0.0,
    "data.jitter": 0,
}


@dataclass(frozen=True)
class Work:
    """A model and how it is trained, always the same."""

    name: str
    vocab: int
    batch_size: int
    seq_len: int
    layers: int
    dim: int
    heads: int

    def settings(self, precision: str) -> Settings:
        """The settings of such a training."""
        return Settings().replace(
            **PLAIN,
            **{
                "model.n_layers": self.layers,
                "model.dim": self.dim,
                "model.n_heads": self.heads,
                "model.context": self.seq_len,
                "data.seq_len": self.seq_len,
                "data.precision": precision,
                "train.batch_size": self.batch_size,
            },
        )


REFERENCE: Final = Work("reference", 4096, 8, 256, 6, 256, 8)
GPT_2: Final = Work("GPT-2 124M", 50257, 8, 1024, 12, 768, 12)
SMALL_BATCH: Final = 1
"""Sequences of GPT-2's mini-batch where there is no GPU."""


@dataclass(frozen=True)
class Trained:
    """How fast a model was trained."""

    work: str
    precision: str
    compiled: bool
    tokens_per_second: float
    mfu: float
    """of the matrix products that were measured in this precision"""
    seconds_per_step: float
    flops_per_token: int


@dataclass(frozen=True)
class Measured:
    """All that was measured."""

    device: torch.device
    threads: int
    speeds: Speeds
    trained: tuple[Trained, ...]

    def machine(self, name: str, date: str) -> Machine:
        """It as a line of the table that is shipped."""
        reference = {
            one.precision: one.tokens_per_second
            for one in self.trained
            if one.work == REFERENCE.name and not one.compiled
        }
        device = str(self.device)
        figures = asdict(self.speeds)
        return Machine(
            name, date, device, self.threads, **figures, tokens_per_second=reference
        )


def run(call: Call) -> None:
    """Measure, and print what was found as tables or as JSON."""
    settings, full = call.settings, bool(call.flags.get("full"))
    device = choose_device(settings.data.device)
    threads = settings.threads or torch.get_num_threads()
    with reproducible(device.type == "cpu", threads):
        LOG.info("measuring %s with %s", device, amount(threads, "thread"))
        speeds = speeds_of(device)
        trained = tuple(all_trained(device, speeds, full))
    found = Measured(device, threads, speeds, trained)
    machines, cited = shipped()
    if call.flags.get("json"):
        say(json.dumps(numbers(found, machines, cited), indent=2) + "\n")
    else:
        say(page(found, machines, cited))


def all_trained(device: torch.device, speeds: Speeds, full: bool) -> Iterator[Trained]:
    """The reference model in both precisions; with ``full`` compiled, and GPT-2's."""
    for precision in PRECISIONS:
        yield trained(REFERENCE, precision, device, speeds, compiling=False)
    if full:
        batch_size = GPT_2.batch_size if device.type == "cuda" else SMALL_BATCH
        large = Work(**{**asdict(GPT_2), "batch_size": batch_size})
        for work in (REFERENCE, large):
            yield trained(work, "bfloat16", device, speeds, compiling=True)


def trained(
    work: Work, precision: str, device: torch.device, speeds: Speeds, *, compiling: bool
) -> Trained:
    """Some steps of ``work`` on random tokens, as training takes them."""
    how = "compiled" if compiling else "not compiled"
    LOG.info("training the %s model in %s, %s", work.name, precision, how)
    settings = work.settings(precision)

    def make_state() -> tuple[TrainState, Objective]:
        state = new_state(settings, work.vocab, device)
        return state, build_objective(settings, state, device)

    tried: Calibration = calibrate(
        settings, make_state, work.vocab, device, time.perf_counter, compiling=compiling
    )
    flops = flops_of_token(settings.model, work.vocab, work.seq_len).total
    speed = work.batch_size * work.seq_len / tried.step_seconds
    peak = asdict(speeds)[precision]
    return Trained(
        work.name,
        precision,
        tried.compiled,
        speed,
        speed * flops / peak,
        tried.step_seconds,
        flops,
    )


def page(found: Measured, machines: Sequence[Machine], cited: Sequence[Cited]) -> str:
    """All tables."""
    here = found.machine("this machine", "now")
    lines = [["", *(heading(one) for one in (here, *machines))]]
    lines += [
        ["matrix products, float32", *(flops(m.float32) for m in (here, *machines))],
        ["matrix products, bfloat16", *(flops(m.bfloat16) for m in (here, *machines))],
        [
            "memory",
            *(f"{m.bytes_per_second / 1e9:.1f} GB/s" for m in (here, *machines)),
        ],
    ]
    lines += [
        [f"training, {precision}", *(tokens(m, precision) for m in (here, *machines))]
        for precision in PRECISIONS
    ]
    steps = [["training here", "tokens/s", "ms a step", "FLOP a token", "MFU"]]
    steps += [in_columns(one) for one in found.trained]
    others = [["elsewhere", "tokens/s", "MFU"]]
    others += [
        [
            one.what,
            "-"
            if one.tokens_per_second is None
            else short_count(one.tokens_per_second),
            "-" if one.mfu is None else percent(one.mfu),
        ]
        for one in cited
    ]
    return "\n".join(map(as_table, (lines, steps, others)))


def heading(machine: Machine) -> str:
    """A machine as the head of a column."""
    return f"{machine.name} ({amount(machine.threads, 'thread')})"


def flops(number: float) -> str:
    """Operations per second."""
    return f"{operations(number)}/s"


def tokens(machine: Machine, precision: str) -> str:
    """How fast the reference model is trained there."""
    known = machine.tokens_per_second.get(precision)
    return "-" if known is None else f"{short_count(known)} tokens/s"


def in_columns(one: Trained) -> list[str]:
    """How fast a model was trained, a cell for each figure."""
    how = ", compiled" if one.compiled else ""
    return [
        f"{one.work}, {one.precision}{how}",
        short_count(one.tokens_per_second),
        f"{1000 * one.seconds_per_step:.1f}",
        operations(one.flops_per_token),
        percent(one.mfu),
    ]


def numbers(
    found: Measured, machines: Sequence[Machine], cited: Sequence[Cited]
) -> dict[str, Any]:
    """All of it as JSON has it."""
    here = environment(str(found.device), found.threads)
    today = f"{datetime.now().astimezone():%Y-%m}"
    return {
        "machine": asdict(found.machine(here["cpu"], today)),
        "training": [asdict(one) for one in found.trained],
        "environment": here,
        "machines": [asdict(one) for one in machines],
        "cited": [asdict(one) for one in cited],
    }
