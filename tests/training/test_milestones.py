"""What is planned to happen, against a trainer to which it happens."""

import pytest

from slangmod.settings.course import Data, course_of
from slangmod.settings.milestones import milestones_of

CASES = {
    "epochs": {"max_epochs": 2},
    "accumulated": {"max_epochs": 2, "step_freq": 3},
    "evaluated often": {"max_epochs": 2, "eval_freq": 5, "step_freq": 2},
    "cut off": {"max_epochs": 2, "max_steps": 15},
    "evaluated and cut off": {"max_epochs": 3, "max_steps": 14, "eval_freq": 4},
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("every", [None, 4])
def test_evaluations_and_checkpoints_are_where_the_trainer_has_them(bench, name, every):
    run = bench(train=CASES[name], checkpoint={"every": every, "keep": 99})
    train = run.dataset(training=True)
    data = Data(11, lambda _, epoch: train.batches_in(epoch))
    legs = course_of(run.settings, data)
    planned = milestones_of(legs, data, every)
    run.fit()
    assert list(planned.evaluations) == [event.step for event in run.epochs]
    assert set(run.saved) <= set(planned.checkpoints)
    assert planned.stages == (run.state.counters.step,)
    due = set(planned.checkpoints) - set(planned.evaluations)
    assert due <= set(run.saved)


def test_without_data_no_epoch_is_known_to_end(tiny):
    legs = course_of(tiny(train={"max_steps": 9, "eval_freq": 4}), None)
    planned = milestones_of(legs, None, 3)
    assert planned.epochs == ()
    assert planned.evaluations == (4, 8, 9)
    assert planned.checkpoints == (3, 4, 6, 8, 9)
