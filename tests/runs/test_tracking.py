from dataclasses import dataclass, replace

import pytest

from slangmod.errors import RunError, StoppedError
from slangmod.runs.directory import RunDir
from slangmod.runs.summary import write_summary
from slangmod.runs.tracking import Tracking, numbers_of
from slangmod.training.events import EpochDone, Progress, StepDone

STEP = StepDone(1, 1, 2, 640, 0.5, 3e-4, 0.1, 41234.5)
EPOCH = EpochDone(1, 3, 640, 0.5, 0.75, 3e-4, 12.5, best=True)


class Fake:
    """Stands where a delivery does."""

    def __init__(self):
        self.rows, self.endings, self.waited = [], [], 0

    def put(self, row):
        self.rows.append(row)

    def speak(self):
        pass

    def end(self, ending):
        self.endings.append(ending)

    def wait(self):
        self.waited += 1


@pytest.fixture
def run(tmp_path):
    run = RunDir.of(tmp_path, "first")
    run.model.mkdir(parents=True)
    run.config.write_text("")
    return run


def told(run, stride, batches, **more):
    fake = Fake()
    tracking = Tracking(run, [fake], stride, clock=lambda: 7.5, **more)
    for batch in batches:
        tracking(replace(STEP, step=batch, batch=batch))
    return [row.step for row in fake.rows], tracking, fake


def test_all_numbers_of_a_row_are_told_under_their_names(run):
    _, _, fake = told(run, 1, [2])
    (row,) = fake.rows
    assert (row.step, row.time) == (2, 7.5)
    assert row.values == {
        "epoch": 1,
        "batch": 2,
        "tokens": 640,
        "loss": 0.5,
        "learning_rate": 3e-4,
        "grad_norm": 0.1,
        "tokens_per_second": 41234.5,
        "stage": 1,
    }


def test_what_is_unknown_or_no_number_is_not_told():
    @dataclass(frozen=True)
    class Later(StepDone):
        turn: int = 2
        ema_loss: float | None = None
        kind: str = "x"
        sure: bool = True

    names = numbers_of(Later(1, 1, 2, 3, 0.5, None, None, 1.0), {"step"})
    assert list(names) == [
        "epoch",
        "batch",
        "tokens",
        "loss",
        "tokens_per_second",
        "stage",
        "turn",
    ]


def test_an_evaluation_tells_what_rows_of_steps_do_not(run):
    fake = Fake()
    Tracking(run, [fake], 100)(EPOCH)
    (row,) = fake.rows
    assert row.step == 3
    assert row.values == {"train_loss": 0.5, "test_loss": 0.75, "seconds": 12.5}


def test_one_row_in_so_many_is_told():
    steps, _, _ = told(None, 10, range(1, 35))
    assert steps == [10, 20, 30]
    steps, _, _ = told(None, 10, range(4, 50, 4))  # each row stands for 4
    assert steps == [12, 20, 32, 40]


@pytest.mark.parametrize("stopped", range(1, 34))
def test_a_resumed_run_tells_the_same_steps(stopped):
    before, _, _ = told(None, 10, range(1, stopped + 1))
    after, _, _ = told(None, 10, range(stopped + 1, 35), batch=stopped)
    assert before + after == [10, 20, 30]


def test_progress_tells_nothing(run):
    fake = Fake()
    Tracking(run, [fake], 1)(Progress(1, 2, 3, 4.0))
    assert fake.rows == []


def summed_up(run):
    outcome = {"reason": "max_epochs", "steps": 34, "best_test_loss": 2.5}
    write_summary(run.summary, outcome, {"loss": 2.25}, {"threads": 2}, {"tokens": 9})


def test_at_the_end_come_the_last_row_and_the_summary(run):
    _, tracking, fake = told(run, 10, range(1, 35))
    summed_up(run)
    tracking.close(None)
    last, summary = fake.rows[-2:]
    assert last.step == summary.step == 34
    assert summary.values == {
        "outcome.steps": 34,
        "outcome.best_test_loss": 2.5,
        "validation.loss": 2.25,
        "cost.tokens": 9,
    }
    (ending,) = fake.endings
    assert ending.facts == {"outcome.reason": "max_epochs", "environment.threads": "2"}
    assert ending.status == "FINISHED"
    assert ending.files == ()
    assert fake.waited == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "FINISHED"),
        (StoppedError("", 75), "KILLED"),
        (KeyboardInterrupt(), "KILLED"),
        (RunError("diverged"), "FAILED"),
        (MemoryError(), "FAILED"),
    ],
)
def test_the_status_is_how_the_run_ended(run, error, status):
    _, tracking, fake = told(run, 1, [1])
    tracking.close(error)
    assert fake.endings[0].status == status


def test_files_are_handed_over_where_asked_for_and_a_model_when_it_is_done(run):
    summed_up(run)
    _, tracking, fake = told(run, 1, [1], artifacts=True)
    tracking.close(None)
    assert fake.endings[0].files == (run.config, run.summary, run.model)
    tracking.close(StoppedError("", 75))
    assert fake.endings[1].files == (run.config, run.summary)


def test_an_old_summary_is_not_told_of_a_run_that_did_not_begin(run):
    summed_up(run)
    _, tracking, fake = told(run, 1, [])
    tracking.close(RunError("no memory"))
    assert fake.rows == []
    assert fake.endings[0].facts == {}


def test_what_each_stage_did_is_told_by_its_number(run):
    stages = [{"name": "a", "steps": 3}, {"name": "b", "steps": 4}]
    write_summary(run.summary, {"steps": 7}, {}, {}, {}, stages)
    _, tracking, fake = told(run, 1, [1])
    tracking.close(None)
    assert fake.rows[-1].values == {
        "outcome.steps": 7,
        "stage.1.steps": 3,
        "stage.2.steps": 4,
    }
    assert fake.endings[0].facts == {"stage.1.name": "a", "stage.2.name": "b"}


def test_a_summary_that_cannot_be_read_does_not_matter(run):
    run.summary.write_text("no summary")
    _, tracking, fake = told(run, 1, [1])
    tracking.close(None)
    assert fake.endings[0].status == "FINISHED"
