"""All that watches a run, together."""

import logging
import os

import pytest

from slangmod.commands.recording import Recording
from slangmod.complaints import Complaints
from slangmod.runs.directory import RunDir
from slangmod.runs.logfile import RunLog
from slangmod.runs.recorders import MemoryUse
from slangmod.runs.samples import Sample
from slangmod.runs.tracking import Tracking
from slangmod.training.events import EpochDone, StepDone

STEP = StepDone(1, 1, 2, 640, 1.0, 1e-3, 0.1, 41000.0)
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

    with Recording(run, log, False, Tracking(run, [], 1)) as recording:
        monkeypatch.setattr("slangmod.files.os.write", refuse)
        for _ in range(6):  # four complaints each, of a second each
            recording(STEP)
            recording(EVALUATION)
            recording.memory.add(MemoryUse(1, 2, 3, None))
            recording.samples.add(Sample(1, 640, "a", "b"))
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        for _ in range(10):
            recording(STEP)
            recording(EVALUATION)
            recording.memory.add(MemoryUse(1, 2, 3, None))
            recording.samples.add(Sample(1, 640, "a", "b"))
        (_, second) = caplog.records
        for name in ("epochs.csv", "memory.csv", "samples.jsonl"):
            assert name in second.getMessage() + caplog.records[0].getMessage()
        monkeypatch.undo()
