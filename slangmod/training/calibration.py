"""A few real steps on random tokens: how long they take, and how much they hold."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch

from slangmod.data.dataset import Batch
from slangmod.settings.sections import Settings
from slangmod.training.chance import seed_batch
from slangmod.training.compiling import compiled_or_eager
from slangmod.training.feed import to_device
from slangmod.training.memory import peak_memory
from slangmod.training.state import TrainState
from slangmod.training.step import (
    Objective,
    accumulate_gradients,
    clip_gradients,
    set_learning_rate,
)

WARM_UP: Final = 2
"""Steps that are not timed: they set up optimizer, kernels and memory."""
TIMED: Final = 5
"""Steps that are timed, at most; their median counts."""
ENOUGH_SECONDS: Final = 20.0
"""of timed steps, beyond which no further one begins"""


@dataclass(frozen=True)
class Calibration:
    """What some real steps took."""

    first_step_seconds: float
    step_seconds: float
    """median of ``steps`` optimizer steps after the first ones"""
    evaluation_seconds: float
    """of one mini-batch"""
    compiled: bool
    compile_seconds: float
    """0 where nothing was compiled"""
    steps: int
    peak_bytes: int
    """most that the process had so far; on a GPU, that the steps allocated"""


def calibrate(
    settings: Settings,
    make_state: Callable[[], tuple[TrainState, Objective]],
    vocab: int,
    device: torch.device,
    clock: Callable[[], float],
    *,
    compiling: bool,
) -> Calibration:
    """Steps of ``settings`` as training takes them, on random tokens.

    ``compiling``: whether training would compile. Nothing is left behind in memory.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    state, objective = make_state()
    ids = torch.randint(vocab, (settings.train.batch_size, settings.data.seq_len))
    batch = Batch(ids, ids.roll(-1, 1))
    state.model.train()
    stopwatch = Stopwatch(device, clock)
    began, compiled = clock(), False
    if compiling:
        parameters = state.model.parameters()
        ready = to_device(batch, device)
        objective, compiled = compiled_or_eager(objective, ready, parameters)
    compile_seconds = clock() - began if compiling else 0.0

    def step() -> None:
        one_step(settings, state, objective, batch, device)

    warm = [stopwatch.time(step) for _ in range(WARM_UP)]
    timed: list[float] = []
    while len(timed) < TIMED and sum(timed) < ENOUGH_SECONDS:
        timed.append(stopwatch.time(step))
    return Calibration(
        warm[0],
        statistics.median(timed),
        look(state, objective, batch, device, stopwatch),
        compiled,
        compile_seconds,
        len(timed),
        peak_memory(device),
    )


@dataclass(frozen=True)
class Stopwatch:
    """Measures seconds, work that is queued on the device included."""

    device: torch.device
    clock: Callable[[], float]

    def time(self, work: Callable[[], object]) -> float:
        """Seconds that ``work`` takes."""
        self.wait()
        began = self.clock()
        work()
        self.wait()
        return self.clock() - began

    def wait(self) -> None:
        """Let the device finish."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def one_step(
    settings: Settings,
    state: TrainState,
    objective: Objective,
    batch: Batch,
    device: torch.device,
) -> None:
    """An optimizer step as the trainer takes it, at a hundredth of the rate."""
    result = accumulate_gradients(
        objective,
        [batch] * settings.train.step_freq,
        device,
        lambda place: seed_batch(settings.seed, place),
    )
    norm = clip_gradients(list(state.model.parameters()), settings.train.clip_grad)
    set_learning_rate(state.optimizer, 0.01)
    float(norm), float(result[0].sum())
    state.optimizer.step()
    if state.average is not None:
        state.average.follow(state.model, 1)
    state.optimizer.zero_grad(set_to_none=True)


@torch.inference_mode()
def look(
    state: TrainState,
    objective: Objective,
    batch: Batch,
    device: torch.device,
    stopwatch: Stopwatch,
) -> float:
    """Seconds that the evaluation of a mini-batch takes, the better of two."""
    state.model.eval()
    return min(
        stopwatch.time(lambda: float(objective(*to_device(batch, device))))
        for _ in range(2)
    )
