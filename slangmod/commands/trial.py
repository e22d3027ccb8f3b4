"""Steps before the first step: rehearsed without numbers, and tried on the device."""

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import torch

from slangmod.commands.counting import spaced
from slangmod.commands.session import build_objective, new_state
from slangmod.data.dataset import Batch
from slangmod.settings.course import Leg
from slangmod.settings.per_layer import layers_of
from slangmod.settings.sections import Settings
from slangmod.settings.tensors import count_parameters
from slangmod.training.allocator import give_back_memory, keeps_memory
from slangmod.training.calibration import Calibration, calibrate, one_step
from slangmod.training.compiling import PAYS_AFTER, estimated_seconds
from slangmod.training.heap import resident_peak
from slangmod.training.memory import free_bytes, resident_bytes
from slangmod.training.rehearsal import COPIES, OPTIMIZER, WEIGHTS, rehearse
from slangmod.training.state import TrainState
from slangmod.training.step import Objective

LOG = logging.getLogger(__name__)

ANY_TOKEN: Final = 0
"""The end symbol, as good as any other where tokens are drawn at random."""

DISK: Final = 3e8
"""bytes per second that a disk is taken to write; nothing is written to find out"""


@dataclass(frozen=True)
class Memory:
    """Bytes in use at the peak."""

    process: int
    """Python, PyTorch and its kernels; 0 on a GPU, whose memory has none of it"""
    parts: dict[str, int]
    """what is held when most is held, by the names of training/rehearsal.py"""
    kept: int
    """free, but not given back by the allocator"""
    measured: int | None = None
    """the peak, where steps were tried"""

    @property
    def estimate(self) -> int:
        """All of it, from what tensors there will be."""
        return self.process + sum(self.parts.values()) + self.kept

    @property
    def peak(self) -> int:
        """What to expect."""
        return self.measured or self.estimate


@dataclass(frozen=True)
class Trial:
    """What steps of some settings take."""

    memory: Memory
    calibration: Calibration | None
    compiles: bool
    """whether training would compile its step"""
    checkpoint_bytes: int
    checkpoint_seconds: float


@dataclass(frozen=True)
class Trials:
    """Tries the settings of each stage, equal ones once."""

    settings: Settings
    vocab: int
    device: torch.device
    legs: Sequence[Leg]
    wanted: bool
    """whether to take real steps"""
    _known: dict[str, Trial] = field(default_factory=dict)
    _process: dict[str, int] = field(default_factory=dict)
    """resident bytes when kernels were warm, and before the first real step"""

    def of(self, settings: Settings) -> Trial:
        """The trial of a stage with ``settings``."""
        sections = settings.model, settings.data, settings.optimizer
        train = settings.train
        counts = train.batch_size, train.step_freq, train.activation_checkpointing
        key = repr((*sections, train.optimizer, *counts))
        if key not in self._known:
            self._known[key] = self.attempt(settings)
        return self._known[key]

    def attempt(self, settings: Settings) -> Trial:
        """Rehearse, and take real steps if that is wanted and memory suffices."""
        warm_up(settings, self.device)
        process = 0
        if self.device.type != "cuda":
            process = self._process.setdefault("warm", resident_bytes())
        rehearsal = rehearse(settings, self.vocab, self.device, build_objective)
        parts = dict(rehearsal.at_peak)
        kept = 0
        if self.device.type == "cpu":
            keeps = keeps_memory(self.device)
            kept = resident_peak(rehearsal.events, kept=keeps) - rehearsal.peak
        memory = Memory(process, parts, kept)
        saved = parts[WEIGHTS] + parts[COPIES] + parts[OPTIMIZER]
        tried = None
        if self.wanted and self.fits(memory):
            more = self.overhead(process)
            tried = self.calibrate(settings)
            peak = max(tried.peak_bytes - more, process)
            memory = replace(memory, measured=peak)
        compiles = self.compiles() if tried is None else tried.compiled
        return Trial(memory, tried, compiles, saved, saving_seconds(saved))

    def overhead(self, process: int) -> int:
        """Bytes that this process has more than training has before its first step.

        They were taken to rehearse. Stages are tried one after the other, and what
        the first has left behind is there in training, too.
        """
        if not process:
            return 0
        if "rehearsed" not in self._process:
            give_back_memory()  # which the steps would else take again
        return self._process.setdefault("rehearsed", resident_bytes()) - process

    def calibrate(self, settings: Settings) -> Calibration:
        """Real steps on random tokens."""

        def make_state() -> tuple[TrainState, Objective]:
            state = new_state(settings, self.vocab, self.device, end=ANY_TOKEN)
            return state, build_objective(settings, state, self.device)

        return calibrate(
            settings,
            make_state,
            self.vocab,
            self.device,
            time.perf_counter,
            compiling=self.compiles(),
        )

    def fits(self, memory: Memory) -> bool:
        """Whether there is memory for steps; a warning where there is not."""
        free = free_bytes(self.device)
        needed = memory.estimate - memory.process
        if free is None or needed < free:
            return True
        LOG.warning(
            "no steps are tried: they need %s MB, and %s MB are free",
            spaced(needed // 10**6),
            spaced(free // 10**6),
        )
        return False

    def compiles(self) -> bool:
        """Whether training would compile: the rule of ``choose_step``."""
        if not self.settings.model.compile:
            return False
        seconds = sum(
            estimated_seconds(
                self.device.type,
                count_parameters(self.settings.model, self.vocab),
                len(layers_of(self.settings.model)),
                leg.horizon.batches or 0,
                leg.horizon.tokens_per_batch,
            )
            for leg in self.legs
        )
        return seconds >= PAYS_AFTER


def warm_up(settings: Settings, device: torch.device) -> None:
    """One step of a minute model, which loads the kernels that training loads."""
    model = settings.model.model_copy(
        update={"dim": 64, "n_heads": 2, "n_kv_heads": None, "n_layers": 1, "layer": ()}
    )
    small = settings.model_copy(
        update={
            "model": model,
            "data": settings.data.model_copy(update={"seq_len": 2}),
            "train": settings.train.model_copy(update={"batch_size": 2}),
        }
    )
    state = new_state(small, 2, device, end=ANY_TOKEN)
    objective = build_objective(small, state, device)
    ids = torch.zeros(2, 2, dtype=torch.int64)
    one_step(small, state, objective, Batch(ids, ids), device)


def saving_seconds(size: int) -> float:
    """Time to write ``size`` bytes at the speed of DISK, and to hash them here."""
    sample = bytes(1 << 22)
    began = time.perf_counter()
    hashlib.sha256(sample)
    return size * ((time.perf_counter() - began) / len(sample) + 1 / DISK)
