"""All that watches a run, together."""

import logging
import os
from types import SimpleNamespace

import pytest

from slangmod.commands.recording import Recording
from slangmod.complaints import Complaints
from slangmod.runs.directory import RunDir
from slangmod.runs.logfile import RunLog
from slangmod.runs.recorders import SPEED_COLUMNS, MemoryUse
from slangmod.runs.samples import Sample
from slangmod.runs.tracking import Tracking
from slangmod.training.events import EpochDone, Rewind, StepDone
from tests.reliability.faulty_disk import Disk, installed
from tests.reliability.power import Journal

STEP = StepDone(1, 1, 2, 640, 1.0, 1e-3, 0.1, 41000.0)
WARNING = "WARNING"
EVALUATION = EpochDone(1, 1, 640, 1.0, 1.0, 1e-3, 1.0, best=True)


@pytest.fixture
def log():
    now = [0.0]

    def tick() -> float:
        now[0] += 1.0
        return now[0]

    log = RunLog(logging.WARNING, Complaints(tick))
    logging.getLogger("slangmod").addHandler(log)
    yield log
    logging.getLogger("slangmod").removeHandler(log)


def test_tables_samples_and_log_complain_of_a_full_disk_with_one_voice(
    log, tmp_path, monkeypatch, caplog
) -> None:
    run = RunDir.of(tmp_path, "first")
    run.root.mkdir(parents=True)

    def refuse(descriptor: int, content: bytes) -> int:
        raise OSError(28, os.strerror(28))

    def rows(recording: Recording, count: int) -> list[str]:
        """Write so many rows of each table, a second apart; -> warnings so far."""
        for _ in range(count):
            recording(STEP)
            recording(EVALUATION)
            recording.memory.add(MemoryUse(1, 2, 3, None))
            recording.samples.add(Sample(1, 640, "a", "b"))
        return [one.getMessage() for one in caplog.records if one.levelname == WARNING]

    with Recording(run, log, False, Tracking(run, [], 1)) as recording:
        monkeypatch.setattr("slangmod.files.os.write", refuse)
        assert len(rows(recording, 6)) == 1
        told = rows(recording, 10)
        assert len(told) == 2
        for name in ("steps.csv", "epochs.csv", "memory.csv", "samples.jsonl"):
            assert name in " ".join(told)
        monkeypatch.undo()


def test_every_row_outlives_a_loss_of_power_once_it_is_synced(log, tmp_path):
    root = tmp_path.resolve()
    run = RunDir.of(root, "first")
    run.root.mkdir(parents=True)
    journal = Journal(root)
    with (
        installed(Disk(root, after=journal.note)),
        Recording(run, log, False, Tracking(run, [], 1)) as recording,
    ):
        for event in (STEP, EVALUATION, Rewind(9, 5, 5, 9, 1)):
            recording(event)
        recording.memory.add(MemoryUse(1, 2, 3, None))
        recording.speed.add(SimpleNamespace(**dict.fromkeys(SPEED_COLUMNS, 1)))
        recording.samples.add(Sample(1, 640, "a", "b"))
        assert recording.sync() is None
        trees = list(journal.crashes())
    tables = run.steps, run.epochs, run.memory, run.speed, run.samples, run.incidents
    for table in tables:
        found = {tree[str(table.relative_to(root))] for tree in trees}
        assert found == {table.read_bytes()} != {b""}
