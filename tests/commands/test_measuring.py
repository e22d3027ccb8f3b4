import csv
from types import SimpleNamespace

import pytest
import torch

from slangmod.commands import measuring
from slangmod.commands.measuring import MemoryWatch, SpeedWatch
from slangmod.runs.recorders import MemoryCsv, SpeedCsv
from slangmod.training.events import EpochDone, Progress, StepDone, TrainingDone
from slangmod.training.memory import resident_bytes
from slangmod.training.state import Counters
from slangmod.training.times import no_seconds

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


class Sped:
    """A watch of the speed of a run, which goes on as the test says."""

    def __init__(self, path, best_speed=1000.0):
        self.path = path
        self.state = SimpleNamespace(counters=Counters(), times=no_seconds())
        self.watch = SpeedWatch(SpeedCsv(path), self.state, best_speed, self.now)

    def now(self):
        return self.state.counters.seconds

    def go_on(self, tokens, event=PROGRESS, **seconds):
        counters = self.state.counters
        counters.step, counters.batch = counters.step + 1, counters.batch + 2
        counters.tokens += tokens
        counters.seconds += sum(seconds.values())
        for part, more in seconds.items():
            self.state.times[part] += more
        self.watch(event)

    def rows(self):
        with self.path.open() as stream:
            return [
                {name: float(cell) for name, cell in row.items()}
                for row in csv.DictReader(stream)
            ]


def test_a_row_tells_the_speed_since_the_last_and_what_time_went_into(tmp_path):
    run = Sped(tmp_path / "speed.csv")
    run.go_on(300, data=1.0, forward_backward=2.0)
    run.go_on(100, forward_backward=1.0)
    run.go_on(100, forward_backward=1.0, rest=0.5)
    first, second = run.rows()
    assert (first["step"], first["batch"], first["tokens"]) == (1, 2, 300)
    assert (first["tokens_per_second"], first["mfu"]) == (100.0, 0.1)
    assert (first["data"], first["forward_backward"]) == (1.0, 2.0)
    assert (second["step"], second["tokens"], second["seconds"]) == (3, 500, 5.5)
    assert second["tokens_per_second"] == 200 / 2.5
    assert (second["data"], second["forward_backward"]) == (0.0, 2.0)
    assert (second["rest"], second["evaluation"]) == (0.5, 0.0)


def test_an_evaluation_makes_a_row_and_no_time_makes_none(tmp_path):
    run = Sped(tmp_path / "speed.csv")
    run.go_on(10, forward_backward=1.0)
    run.go_on(10, event=EVALUATION, evaluation=0.5)
    run.go_on(0, event=EVALUATION)
    assert [row["step"] for row in run.rows()] == [1, 2]


def test_a_bottleneck_is_warned_of_once_while_it_lasts(tmp_path, caplog):
    run = Sped(tmp_path / "speed.csv")
    for _ in range(100):
        run.go_on(100, data=1.0, forward_backward=2.0)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(
        "of the last 1m00s, data: 33 % of the time went into waiting for rows; "
    )
    for _ in range(100):
        run.go_on(100, checkpoint=2.0, forward_backward=2.0)
    assert [r.getMessage().split()[4] for r in caplog.records] == [
        "data:",
        "checkpoint:",
    ]


def test_where_time_goes_into_learning_nothing_is_warned_of(tmp_path, caplog):
    run = Sped(tmp_path / "speed.csv")
    for _ in range(100):
        run.go_on(100, optimizer=1.0, forward_backward=9.0, rest=0.1)
    assert caplog.records == []
