"""Whether a run has been trained is told by whatever is left of it."""

import pytest

from slangmod.runs.begun import has_begun
from slangmod.runs.directory import RunDir
from slangmod.runs.summary import write_summary

HEADER = "step,epoch,batch\n"


def summed_up(run, **outcome):
    write_summary(run.summary, outcome, {}, {}, {})


LEFT = {
    "checkpoint": lambda run: (run.checkpoints / "step-000000000").mkdir(parents=True),
    "model": lambda run: run.model.mkdir(),
    "rows": lambda run: run.steps.write_text(f"{HEADER}1,1,2\n"),
    "evaluations": lambda run: run.epochs.write_text("epoch,step\n1,5\n"),
    "end": lambda run: summed_up(run, reason="max_epochs"),
    "failure": lambda run: summed_up(run, reason="failed", steps=3),
    "torn summary": lambda run: run.summary.write_text("[outcome"),
}

NOTHING = {
    "empty folder": lambda _: None,
    "config": lambda run: run.config.write_text("seed = 1\n"),
    "no rows": lambda run: run.steps.write_text(HEADER),
    "torn row": lambda run: run.steps.write_text(f"{HEADER}1,1"),
    "checkpoints removed": lambda run: run.checkpoints.mkdir(),
    "failed start": lambda run: summed_up(run, reason="failed", steps=0),
    "broken off": lambda run: summed_up(run, reason="stopped", steps=0),
}


@pytest.fixture
def run(tmp_path):
    run = RunDir.of(tmp_path, "first")
    run.root.mkdir(parents=True)
    return run


@pytest.mark.parametrize("left", LEFT)
def test_what_training_has_made_tells_that_it_has_begun(run, left):
    LEFT[left](run)
    assert has_begun(run)


@pytest.mark.parametrize("left", NOTHING)
def test_what_is_there_before_the_first_checkpoint_tells_nothing(run, left):
    NOTHING[left](run)
    assert not has_begun(run)
