"""A folder with encoded data, in which tiny runs are trained, killed and resumed."""

import itertools
import os
import shutil
import signal
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from slangmod.training.checkpoint import list_checkpoints
from tests.reliability.bits import differences
from tests.reliability.forks import Forks, leave_alone
from tests.reliability.tiny import tiny, write_raw

BASE = {
    "threads": 1,
    "progress": False,
    "model": {"n_layers": 2, "dropout": 0.2},
    "train": {
        "batch_size": 16,
        "max_epochs": 6,
        "warmup": 8,
        "learning_rate": 0.3,
        "cb_freq": 2,
    },
    "checkpoint": {"every": 4},
}

CONFIGS = {
    "adamw": """
        [train]
        step_freq = 3
        patience = 2
        """,
    "adafactor": """
        [train]
        optimizer = "adafactor"
        eval_freq = 5
        patience_steps = 18
        patience_increase = 1.0
        ema = 0.8

        [checkpoint]
        background = true
        """,
    "muon": """
        [train]
        optimizer = "muon"
        max_epochs = 5
        step_freq = 3
        z_loss = 1e-3
        eval_freq = 7
        convergence_threshold = 1e-9
        convergence_norm = "update"

        [samples]
        every = 6
        prompts = ["the"]
        max_tokens = 8
        """,
    "stages": """
        [[stage]]
        epochs = 2
        train.step_freq = 3

        [[stage]]
        steps = 6
        reset_optimizer = true
        train.optimizer = "adafactor"
        train.batch_size = 8
        data.seq_len = 12
        model.dropout = 0.3
        """,
}
"""Changes to ``BASE``: accumulation, averages, two kinds of patience, stages, saving in
the background."""

ROOT = Path(__file__).parents[2]
CALL = "from tests.reliability.hooks import HOOKS; HOOKS[{!r}]({})"
"""What a child does before its command, to be stopped at an exact place."""


def fill(folder: Path) -> None:
    """Write all settings, and raw documents that are the same on each machine."""
    places = {"workdir": str(folder), "files": {"raw": str(folder / "raw")}}
    (folder / "config.toml").write_text(tiny(**places, **BASE), "utf-8")
    for name, change in CONFIGS.items():
        add_config(folder, name, change)
    write_raw(folder / "raw", 310, 60)


def add_config(folder: Path, name: str, change: str) -> None:
    """Write ``name``.toml, which changes the base."""
    text = f'base = "config.toml"\n{textwrap.dedent(change)}'
    (folder / f"{name}.toml").write_text(text, "utf-8")


@dataclass(frozen=True)
class Ended:
    """How a child ended, and what it wrote to standard error."""

    code: int
    """exit code, or minus the number of the signal that killed it"""
    seconds: float
    told: str


class Workshop:
    """Trains runs of the configurations, and remembers those that nothing stopped."""

    def __init__(self, forks: Forks, folder: Path) -> None:
        self.forks, self.folder = forks, folder
        self._wholes: dict[str, Ended] = {}
        self._numbers = itertools.count()

    def beside(self, forks: Forks) -> "Workshop":
        """The same, for another thread: its commands are forked by another server."""
        other = Workshop(forks, self.folder)
        other._wholes, other._numbers = self._wholes, self._numbers
        return other

    def tries(
        self,
        *words: str,
        kill_after: float | None = None,
        hook: tuple[str, int] | None = None,
    ) -> Ended:
        """Run ``slangmod WORDS`` to its end, or to SIGKILL after so many seconds.

        ``hook`` names one of ``hooks.HOOKS``, and what to give it.
        """
        begun = time.monotonic()
        lines = (
            (f"sys.path.insert(0, {str(ROOT)!r})", CALL.format(*hook)) if hook else ()
        )
        disturb = leave_alone if kill_after is None else killer(kill_after)
        before = ("import sys", *lines)
        ended = self.forks.run(self.folder, *words, disturb=disturb, before=before)
        return Ended(ended.code, time.monotonic() - begun, ended.errors)

    def done(self, *words: str, hook: tuple[str, int] | None = None) -> Ended:
        """Run a command that must succeed."""
        ended = self.tries(*words, hook=hook)
        assert ended.code == 0, f"{words}: {ended.told}"
        return ended

    def run(self, name: str) -> Path:
        """The folder of a run."""
        return self.folder / "runs" / name

    def new(self, kind: str) -> str:
        """A name that no run has yet."""
        return f"{kind}-{next(self._numbers)}"

    def add(self, config: str, change: str) -> None:
        """Make one more configuration, unless there is one of that name."""
        if not (self.folder / f"{config}.toml").exists():
            add_config(self.folder, config, change)

    def whole(
        self, config: str, hook: tuple[str, int] | None = None
    ) -> tuple[Path, float]:
        """A run that nothing interrupted, trained once, and the seconds it took."""
        name = f"whole-{config}"
        if name not in self._wholes:
            self._wholes[name] = self.done(*train(config, name), hook=hook)
        return self.run(name), self._wholes[name].seconds

    def newest(self, name: str) -> Path | None:
        """The newest complete checkpoint of a run."""
        found = list_checkpoints(self.run(name) / "checkpoints")
        return found[0] if found else None

    def onwards(self, config: str, name: str) -> tuple[str, ...]:
        """The command that goes on with a run, or begins it if it has nothing yet."""
        return ("resume", "--name", name) if self.newest(name) else train(config, name)

    def finish(self, config: str, name: str) -> None:
        """Carry a run to its end, from its newest checkpoint, and compare it."""
        newest = self.newest(name)
        ended = self.done(*self.onwards(config, name))
        if newest:
            assert f"run '{name}' from {newest.name} on cpu" in ended.told
        self.compare(config, name)

    def compare(self, config: str, name: str, *, stopped: bool = False) -> None:
        """Hold a run that has ended against the whole one, and remove it."""
        whole, _ = self.whole(config)
        differing = differences(whole, self.run(name), stopped=stopped)
        assert not differing, f"{name}: {differing}"
        shutil.rmtree(self.run(name))


def killer(seconds: float) -> Callable[[int], None]:
    """Kills a process after so many seconds, unless it ends before."""

    def kill(pid: int) -> None:
        instant = time.monotonic() + seconds
        with suppress(ProcessLookupError):
            while (left := instant - time.monotonic()) > 0:
                os.kill(pid, 0)  # raises if it has ended
                time.sleep(min(left, 0.004))
            os.kill(pid, signal.SIGKILL)

    return kill


def train(config: str, name: str, *more: str) -> tuple[str, ...]:
    """The command line that begins a run."""
    return ("train", "--toml", f"{config}.toml", "--name", name, *more)


@contextmanager
def opened(folder: Path) -> Iterator[Workshop]:
    """A folder with encodings, and a server that forks what runs in it."""
    fill(folder)
    forks = Forks()
    try:
        workshop = Workshop(forks, folder)
        workshop.done("clean", "tokenize", "encode", "--toml", "config.toml")
        yield workshop
    finally:
        forks.close()


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Such a one, which all tests share."""
    with opened(tmp_path_factory.mktemp("workshop")) as workshop:
        yield workshop


@pytest.fixture(scope="session")
def workshops(workshop: Workshop) -> Iterator[tuple[Workshop, ...]]:
    """The same twice, for two threads."""
    forks = Forks(errors="more errors.txt")
    try:
        other = workshop.beside(forks)
        other.done("--version")  # or the first try would take as long as its server
        yield workshop, other
    finally:
        forks.close()
