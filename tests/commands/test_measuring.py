from types import SimpleNamespace

import pytest
import torch

from slangmod.commands import measuring
from slangmod.commands.measuring import MemoryWatch
from slangmod.runs.recorders import MemoryCsv
from slangmod.training.events import EpochDone, Progress, StepDone, TrainingDone
from slangmod.training.memory import resident_bytes
from slangmod.training.state import Counters

STEP = StepDone(1, 1, 2, 640, 1.0, 1e-3, 0.1, 41000.0)
PROGRESS = Progress(1, 10, 640, 1.0)
EVALUATION = EpochDone(1, 1, 640, 1.0, 1.0, 1e-3, 1.0, best=True)


class Watched:
    """A watch of a run that the test moves on, as it does the time."""

    def __init__(self, path, device="cpu"):
        self.path = path
        self.now = 100.0
        self.state = SimpleNamespace(counters=Counters())
        table = MemoryCsv(path)
        device = torch.device(device)
        self.watch = MemoryWatch(table, self.state, device, clock=lambda: self.now)

    def tell(self, event, after=0.0):
        """Tell of ``event`` at the next step, two mini-batches on."""
        self.now += after
        self.state.counters.step += 1
        self.state.counters.batch += 2
        self.watch(event)

    def rows(self):
        return [line.split(",") for line in self.path.read_text().splitlines()[1:]]

    def steps(self):
        return [int(row[0]) for row in self.rows()]


def test_progress_makes_a_row_at_most_every_two_seconds(tmp_path):
    watched = Watched(tmp_path / "memory.csv")
    for _ in range(10):
        watched.tell(PROGRESS, after=0.75)
    assert watched.steps() == [1, 4, 7, 10]
    assert [int(row[1]) for row in watched.rows()] == [2, 8, 14, 20]


def test_each_evaluation_makes_a_row_and_puts_off_the_next(tmp_path):
    watched = Watched(tmp_path / "memory.csv")
    watched.tell(PROGRESS)
    watched.tell(EVALUATION, after=1.5)
    watched.tell(EVALUATION, after=0.0)
    watched.tell(PROGRESS, after=1.5)
    watched.tell(PROGRESS, after=0.5)
    assert watched.steps() == [1, 2, 3, 5]


@pytest.mark.parametrize(
    "event", [STEP, TrainingDone("max_steps", 1, 1, 1, 1.0, "it was long enough")]
)
def test_what_else_happens_makes_none(tmp_path, event):
    watched = Watched(tmp_path / "memory.csv")
    watched.tell(event)
    assert watched.rows() == []


def test_a_row_tells_the_memory_of_the_process_and_none_of_a_gpu(tmp_path):
    watched = Watched(tmp_path / "memory.csv")
    watched.tell(PROGRESS)
    ((_, _, resident, device),) = watched.rows()
    assert int(resident) == pytest.approx(resident_bytes(), rel=0.1)
    assert device == ""


def test_where_it_trains_on_a_gpu_its_memory_is_told_too(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.memory_allocated", lambda device: device.index)
    watched = Watched(tmp_path / "memory.csv", device="cuda:3")
    watched.tell(PROGRESS)
    assert watched.rows()[0][3] == "3"


def test_a_folder_that_vanishes_does_not_stop_training(tmp_path, caplog):
    watched = Watched(tmp_path / "gone" / "memory.csv")
    watched.tell(PROGRESS)
    watched.tell(PROGRESS, after=measuring.BETWEEN_ROWS)
    assert "cannot be written now" in caplog.text
