"""A few steps looked at by torch's profiler, each part of the work by its name."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from slangmod.training.stopwatch import Stopwatch, marks_for
from slangmod.training.times import REST

LABEL = "slangmod: "
"""What the names of parts begin with in a trace."""


class Operator(NamedTuple):
    """What one kind of operator took, over all steps that were profiled."""

    name: str
    calls: int
    seconds: float
    """in itself, without those that it calls; on the device, where that is a GPU"""


class LabellingStopwatch(Stopwatch):
    """Names each part of the work but the rest in the trace that is made, too."""

    _label: Any = None

    def turn_to(self, part: str) -> str:
        """From now on ``part`` is under way; -> what was until now."""
        before = super().turn_to(part)
        if self._label is not None:
            self._label.__exit__(None, None, None)
        self._label = None if part == REST else record_function(LABEL + part)
        if self._label is not None:
            self._label.__enter__()
        return before


def labelling_for(device: torch.device) -> LabellingStopwatch:
    """A stopwatch for steps on ``device`` that are being profiled."""
    return LabellingStopwatch(time.perf_counter, marks_for(device))


def profiler_for(device: torch.device) -> profile:
    """Writes down what the block that it is the context of does."""
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    return profile(activities=activities, record_shapes=True)


def operators_of(profiled: profile, device: torch.device) -> Sequence[Operator]:
    """What was done on ``device``, what took longest first."""
    on_gpu = device.type == "cuda"
    kind = "CUDA" if on_gpu else "CPU"
    column = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    found = (
        Operator(entry.key, entry.count, getattr(entry, column) / 1e6)
        for entry in profiled.key_averages()
        if entry.device_type.name == kind and not entry.key.startswith(LABEL)
    )
    return sorted(found, key=lambda one: -one.seconds)
