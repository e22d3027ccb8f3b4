"""A full disk ends no run, and leaves no trace in what is learnt or recorded."""

import errno
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from slangmod.complaints import Complaints
from slangmod.runs.recorders import EpochsCsv, StepsCsv
from slangmod.training.checkpoint import (
    checkpoint_path,
    load_checkpoint,
    newest_sound,
    problems_of,
)
from slangmod.training.events import Progress
from slangmod.training.saver import Saver
from tests.reliability.faulty_disk import Disk, Full, installed
from tests.reliability.states import bits
from tests.training.conftest import Bench

SETTINGS = {
    "train": {"step_freq": 2, "max_epochs": 50, "max_steps": 24, "cb_freq": 1},
    "model": {"dropout": 0.2, "n_layers": 1},
    "checkpoint": {"every": 5},
}
SECONDS = 25.0
"""Between two steps, by the clock of the saver."""


class Run(Bench):
    """A run with tables, which saves as the real ones do."""

    def begin(self, background: bool) -> None:
        self.now = 0.0
        run = self.folder.parent
        complaints = Complaints(lambda: self.now)
        self.tables = (
            StepsCsv(run / "steps.csv", complaints),
            EpochsCsv(run / "epochs.csv", complaints),
        )
        self.saver = Saver(
            self.folder,
            {},
            keep=1,
            sync=self.sync,
            background=background,
            clock=lambda: self.now,
            complaints=complaints,
        )
        self.saver.save(self.state)

    def sync(self) -> OSError | None:
        errors = [table.sync() for table in self.tables]
        return next(filter(None, errors), None)

    def hear(self, event: object) -> None:
        for table in self.tables:
            table(event)
        if isinstance(event, Progress):
            self.now += SECONDS

    def trainer(self):
        return replace(
            super().trainer(),
            tell=self.hear,
            save=self.saver.save,
            save_again=self.saver.due_again,
        )

    def results(self) -> tuple[str, bytes, bytes]:
        """Bits of the last checkpoint, and the tables."""
        load_checkpoint(newest_sound(self.folder), self.state)
        best = checkpoint_path(self.folder, self.state.patience.best_step)
        assert not problems_of(best)
        run = self.folder.parent
        tables = [(run / name).read_bytes() for name in ("steps.csv", "epochs.csv")]
        self.state.counters.seconds = 0.0  # the one thing that may differ
        return bits(self.state), *tables


@pytest.fixture
def make(tiny, token_file, tmp_path):
    """``make("name")``: a run in a folder of its own."""
    ids = token_file(size=300, vocab=11)

    def run(name: str, background: bool = False, begin: bool = True) -> Run:
        folder = tmp_path.resolve() / name / "checkpoints"
        folder.parent.mkdir()
        run = Run(tiny(**SETTINGS), ids, folder)
        if begin:
            with installed(Disk(folder.parent)):
                run.begin(background)
        return run

    return run


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def fill_up(make, promise, caplog, trials: int, background: bool = False) -> None:
    """The disk is full from some byte on until training ends, or before that."""
    whole = make("whole")
    with installed(Disk(whole.folder.parent)):
        outcome = whole.fit()
    expected = whole.results()
    for trial in range(trials):
        caplog.clear()
        run = make(f"trial-{trial}", background)
        root = run.folder.parent
        first = size_of(root)
        full = Full(root, first + trial * 2 * first // trials)
        freed_at = 24 if trial % 2 else 13
        with installed(Disk(root, full)):
            run.objective = opening(run, full, freed_at)
            assert run.fit() == outcome
            assert not problems_of(newest_sound(run.folder))
            run.saver.wait()
            full.freed = True
            run.saver.insist(run.state)
        assert full.refusals
        assert run.results() == expected
        assert not list(run.folder.glob(".aside-*"))
        told = [r for r in caplog.records if "training goes on" in r.getMessage()]
        assert told
        assert len(told) <= 1 + 24 * SECONDS / 60  # of tables and saver together
    promise("R9", trials)


def opening(run: Run, full: Full, step: int):
    """The objective of ``run``, which makes room on the disk at ``step``."""
    objective = run.objective

    def computed(inputs, targets):
        full.freed |= run.state.counters.step >= step
        return objective(inputs, targets)

    return computed


def test_a_full_disk_changes_no_bit(make, promise, caplog) -> None:
    fill_up(make, promise, caplog, 4)


@pytest.mark.slow
@pytest.mark.parametrize("background", [False, True])
def test_a_disk_full_from_any_byte_changes_no_bit(make, promise, caplog, background):
    fill_up(make, promise, caplog, 40, background)


def test_saving_in_the_background_changes_no_bit(make, promise) -> None:
    results = []
    for name, background in (("whole", False), ("behind", True)):
        run = make(name, background)
        with installed(Disk(run.folder.parent)), run.saver:
            run.fit()
            run.saver.wait()
        results.append((run.results(), sorted(p.name for p in run.folder.iterdir())))
    assert results[0] == results[1]
    promise("R9", 1)


def test_what_is_refused_is_told_once_a_minute_and_tried_again(make, promise, caplog):
    run = make("run")

    def refuses(name: str, path: Path) -> None:
        if name == "mkdir":
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    with caplog.at_level(logging.WARNING), installed(Disk(run.folder.parent, refuses)):
        run.fit()
    told = [record.getMessage() for record in caplog.records]
    minutes = 24 * SECONDS / 60
    assert minutes / 2 <= len(told) <= minutes + 1
    assert "disk quota exceeded" in told[0]
    assert "needed" in told[0]
    assert "free" in told[0]
    assert "step-" in told[0]
    assert newest_sound(run.folder).name == "step-000000000"
    with installed(Disk(run.folder.parent)):
        run.saver.insist(run.state)
    assert newest_sound(run.folder).name == "step-000000024"
    promise("R9", len(told))
