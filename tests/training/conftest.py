"""A trainer over a tiny stream, put together without files of settings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from slangmod.data.dataset import TokenDataset
from slangmod.data.rows import ConcatRows
from slangmod.data.stream import TokenStream
from slangmod.model import build_model
from slangmod.optim import build_optimizer, build_schedule
from slangmod.settings.sections import Settings
from slangmod.training.chance import seed_batch, seed_initialisation
from slangmod.training.checkpoint import save_checkpoint
from slangmod.training.evaluate import Evaluator
from slangmod.training.events import EpochDone, StepDone
from slangmod.training.limits import Limits, Outcome
from slangmod.training.loss import cross_entropy_sum
from slangmod.training.state import TrainState, build_state
from slangmod.training.stopwatch import Stopwatch
from slangmod.training.trainer import Trainer

CPU = torch.device("cpu")
VOCAB = 11


@dataclass
class Bench:
    """One training run in memory, with all it told and where it saves."""

    settings: Settings
    ids: Path
    folder: Path
    told: list[Any] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)
    objective: Any = None
    stop_at: int | None = None
    seconds: float = 0.0
    watch: Callable[[], float] = float
    """the clock by which it is told what time goes into; it stands still"""

    def __post_init__(self) -> None:
        seed_initialisation(self.settings.seed)
        model = build_model(self.settings, VOCAB)
        optimizer = build_optimizer(self.settings, model)
        self.state = build_state(self.settings, model, optimizer)
        train = self.settings.train
        if self.objective is None:
            self.objective = lambda inputs, targets: cross_entropy_sum(
                model(inputs), targets, train.label_smoothing, train.z_loss
            )

    def dataset(self, *, training: bool) -> TokenDataset:
        data = self.settings.data
        tokens = TokenStream([self.ids], "<u2")
        rows = ConcatRows(len(tokens), data.seq_len, data.seq_len)
        return TokenDataset(
            tokens,
            rows,
            data.seq_len,
            self.settings.train.batch_size,
            0,
            self.settings.seed,
            data.jitter if training else 0,
            training,
        )

    def tick(self) -> float:
        self.seconds += 1.0
        return self.seconds

    def save(self, state: TrainState) -> None:
        self.saved.append(state.counters.step)
        save_checkpoint(self.folder, state, {})

    def trainer(self) -> Trainer:
        train = self.settings.train
        limits = Limits(train.max_epochs, train.max_steps, None)
        return Trainer(
            objective=self.objective,
            evaluator=Evaluator(CPU, "float32"),
            schedule=build_schedule(self.settings),
            limits=limits,
            step_freq=train.step_freq,
            clip_grad=train.clip_grad,
            cb_freq=train.cb_freq,
            eval_freq=train.eval_freq,
            save_freq=self.settings.checkpoint.every,
            seed_chance=lambda place: seed_batch(self.settings.seed, place),
            save=self.save,
            clock=self.tick,
            stop_requested=lambda: self.state.counters.step == self.stop_at,
            tell=self.told.append,
            planned=self.dataset(training=True).batches_planned(train.max_epochs),
            stopwatch=lambda _: Stopwatch(self.watch),
        )

    def fit(self) -> Outcome:
        train, test = self.dataset(training=True), self.dataset(training=False)
        return self.trainer().fit(self.state, train, test)

    @property
    def steps(self) -> list[StepDone]:
        return [event for event in self.told if isinstance(event, StepDone)]

    @property
    def epochs(self) -> list[EpochDone]:
        return [event for event in self.told if isinstance(event, EpochDone)]


@pytest.fixture
def bench(tiny, token_file, tmp_path, monkeypatch) -> Callable[..., Bench]:
    """``bench(train={...})``: a run of tiny settings; ``folder`` to resume another."""
    ids = token_file(size=400, vocab=VOCAB)
    # Bits are under test here, not the disk; hundreds of checkpoints are written.
    monkeypatch.setattr("os.fsync", lambda _: None)

    def make(
        objective: Any = None, folder: str = "checkpoints", **change: Any
    ) -> Bench:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        return Bench(tiny(**change), ids, place, objective=objective)

    return make
