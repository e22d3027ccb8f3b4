"""The part of a plan that is about several devices."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from slangmod.commands.counting import amount, spaced
from slangmod.commands.fitting import SHARE, allowed_bytes, rows_at_once
from slangmod.commands.needs import FLOAT, needs_of, share_of
from slangmod.commands.plan_page import line, wrapped
from slangmod.commands.planning import Plan
from slangmod.commands.strategy import only_ddp
from slangmod.commands.trial import Trials
from slangmod.errors import UserError
from slangmod.parallel.launch import launch_of
from slangmod.parallel.strategy import (
    DDP,
    STRATEGIES,
    Choice,
    Held,
    Needs,
    choose,
    held_by,
    moved_by,
    step_seconds,
)
from slangmod.runs.wording import short_count
from slangmod.settings.automatic import in_portions
from slangmod.settings.sections import Settings
from slangmod.training.device import reproducible

GB: Final = 10**9

BANDWIDTH: Final = {"cuda": 50.0, "cpu": 1.0}
"""GB/s in each direction that are assumed between devices where nobody says better: a
fast network or slow NVLink between GPUs; the loopback, or 10 GbE, between CPUs."""


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    devices: int
    memory: float | None
    """GB of each device; None: as this one has them"""
    bandwidth: float | None
    """GB/s between devices; None: assumed"""


@dataclass(frozen=True)
class Devices:
    """Training by several devices, as far as it can be foreseen."""

    wish: Wish
    needs: Needs
    held: Mapping[str, Held]
    moved: Mapping[str, int]
    """bytes that each device sends in a step"""
    choice: Choice
    available: int | None
    bandwidth: float
    """bytes a second"""
    rows: int
    """of a mini-batch, of each device"""
    computing: Mapping[str, float]
    """seconds of a step of those rows by strategy, as tried on this device; or none"""
    tokens_per_step: int
    step_freq: int

    def seconds(self, strategy: str) -> float | None:
        """Of a step, computing and moving."""
        if strategy not in self.computing:
            return None
        moving = self.moved[strategy] / self.bandwidth
        return step_seconds(strategy, self.computing[strategy], moving, self.step_freq)

    def speed(self, strategy: str) -> float | None:
        """Tokens a second of all devices together."""
        seconds = self.seconds(strategy)
        return None if seconds is None else self.tokens_per_step / seconds


def wish_of(flags: Mapping[str, object], environ: Mapping[str, str]) -> Wish | None:
    """What the flags ask for, or torchrun's number of processes; None for neither.

    Raises UserError where a flag is no number that makes sense.
    """
    launch = launch_of(environ)
    devices = number(flags, "devices", "8", whole=True)
    memory = number(flags, "device-memory", "80")
    bandwidth = number(flags, "bandwidth", "50")
    if devices is None and launch is not None:
        devices = launch.size
    if devices is None and (memory or bandwidth):
        raise UserError("--devices: say how many there are, such as --devices 8")
    return None if devices is None else Wish(int(devices), memory, bandwidth)


def number(
    flags: Mapping[str, object], name: str, example: str, *, whole: bool = False
) -> float | None:
    """The number above 0 that a flag has; None where it was not given."""
    word = flags.get(name)
    if word is None:
        return None
    try:
        value = float(str(word))
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf") or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise UserError(f"--{name} {word}: must be {kind} above 0, such as {example}")
    return value


def foresee(plan: Plan, wish: Wish, *, calibrate: bool) -> Devices:
    """What training by several devices will take, by the stage that needs most."""
    stage = max(plan.stages, key=lambda one: one.trial.memory.peak)
    settings = stage.plan.settings
    step_freq = settings.train.step_freq
    available = available_to_each(plan, wish)
    several = wish.devices, available
    rows = rows_at_once(plan.settings, plan.vocab, plan.device, *several)
    needs = needs_of(settings, plan.vocab, plan.device, wish.devices, rows)
    needs = replace(needs, process=plan.memory.process)
    total = FLOAT * sum(plan.parts.values())
    speed = wish.bandwidth or BANDWIDTH.get(plan.device.type, 1.0)
    return Devices(
        wish,
        needs,
        {one: held_by(one, needs, wish.devices, step_freq) for one in STRATEGIES},
        {
            one: moved_by(one, total, needs.outside, wish.devices, step_freq)
            for one in STRATEGIES
        },
        only_ddp(settings) or choose(needs, wish.devices, available, step_freq),
        available,
        speed * GB,
        settings.train.batch_size // wish.devices,
        computing_of(plan, settings, wish.devices, rows) if calibrate else {},
        stage.tokens_per_step,
        step_freq,
    )


def computing_of(
    plan: Plan, settings: Settings, devices: int, rows: int | None
) -> dict[str, float]:
    """Seconds of a step of a device's own rows, by strategy, as tried on this one.

    ``rows`` are computed at a time, if that is known. With fsdp a step is never
    compiled. None are known where memory did not suffice.
    """
    calm = plan.settings.deterministic or plan.device.type == "cpu"
    seconds = {}
    for strategy in STRATEGIES:
        compiles = settings.model.compile and strategy == DDP
        model = settings.model.model_copy(update={"compile": compiles})
        one = settings.model_copy(update={"model": model})
        with reproducible(calm, plan.threads):
            trials = Trials(one, plan.vocab, plan.device, plan.course.legs, True)
            share = in_portions(share_of(one, devices), rows)
            tried = trials.of(share).calibration
        if tried is None:
            return {}
        seconds[strategy] = tried.step_seconds
        if not tried.compiled:  # and so the same for all
            return dict.fromkeys(STRATEGIES, tried.step_seconds)
    return seconds


def available_to_each(plan: Plan, wish: Wish) -> int | None:
    """Bytes for each device: as said, or free here; CPUs share those of a machine."""
    if wish.memory is not None:
        return int(SHARE * wish.memory * GB)
    return allowed_bytes(plan.device, wish.devices)


def numbers(devices: Devices) -> dict[str, Any]:
    """As JSON has it: bytes, seconds, tokens."""
    return {
        "number": devices.wish.devices,
        "rows_of_each": devices.rows,
        "available_bytes_of_each": devices.available,
        "bandwidth": devices.bandwidth,
        "bandwidth_is": "assumed" if devices.wish.bandwidth is None else "given",
        "strategy": devices.choice.strategy,
        "why": devices.choice.why,
        "strategies": {
            one: {
                "bytes": held.total,
                "divided": held.divided,
                "gathered": held.gathered,
                "activations": held.activations,
                "moved_bytes_per_step": devices.moved[one],
                "computing_seconds_per_step": devices.computing.get(one),
                "seconds_per_step": devices.seconds(one),
                "tokens_per_second": devices.speed(one),
            }
            for one, held in devices.held.items()
        },
    }


def lines(devices: Devices, width: int) -> Iterator[str]:
    """As the page has it."""
    count = amount(devices.wish.devices, "device")
    rows = amount(devices.rows, "row")
    yield line("devices", f"{count}, {rows} of a mini-batch each")
    for one, held in devices.held.items():
        parts = f"{mb(held.divided)} divided" if one == "fsdp" else mb(held.divided)
        more = f" + {mb(held.gathered)} gathered" if held.gathered else ""
        text = f"{mb(held.total):>13} each: {parts}{more}"
        text += f" + {mb(held.activations)} activations"
        text += f" + {mb(held.process)} program" if held.process else ""
        yield from wrapped(f"  {one}", text, width)
    yield from wrapped("  auto", devices.choice.why, width)
    how = "assumed" if devices.wish.bandwidth is None else "as given"
    yield line("  moving", f"at {devices.bandwidth / GB:g} GB/s ({how}), a step")
    for one, moved in devices.moved.items():
        moving = f"{one}: {mb(moved)}, {moved / devices.bandwidth:.3g} s"
        speed = devices.speed(one)
        if speed is not None:
            moving += f" beside {devices.computing[one]:.3g} s of computing: "
            moving += f"{short_count(speed)} tokens/s"
        yield from wrapped("", moving, width)


def mb(size: int) -> str:
    """Bytes in units of a million."""
    return f"{spaced(round(size / 10**6))} MB"
