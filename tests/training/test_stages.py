"""Where a stage ends, and how long it will be, against counting it out."""

from dataclasses import replace

import pytest

from slangmod.training import stages
from slangmod.training.checkpoint import (
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from slangmod.training.limits import Limits, Outcome
from slangmod.training.stages import Length, StageEnd, planned_length
from slangmod.training.state import Counters
from slangmod.training.stored import read_counters


def counted(data, step_freq: int, epochs: int | None, steps: int | None) -> Length:
    """Length of a stage by taking its steps one by one; mini-batches are exact."""
    batches = taken = done = 0
    while done != epochs and taken != steps:
        done += 1
        left = data.batches_in(data.epochs_before + done)
        while left and taken != steps:
            group = min(step_freq, left)
            left, batches, taken = left - group, batches + group, taken + 1
    return Length(batches, taken, done)


@pytest.mark.parametrize("step_freq", [1, 3, 50])
@pytest.mark.parametrize(
    ("epochs", "steps"),
    [(1, None), (3, None), (None, 1), (None, 13), (None, 40), (2, 5), (2, 500)],
)
def test_a_stage_is_as_long_as_it_is_when_counted_out(
    bench, step_freq: int, epochs: int | None, steps: int | None
) -> None:
    data = bench(train={"batch_size": 7}).dataset(training=True)
    data = replace(data, first_batch=11, epochs_before=2)
    length = planned_length(data, step_freq, epochs, steps)
    exact = counted(data, step_freq, epochs, steps)
    assert length[1:] == exact[1:]
    if steps is None or step_freq == 1:
        assert length.batches == exact.batches
    assert exact.batches <= length.batches <= exact.steps * step_freq


def test_the_length_of_very_many_epochs_is_estimated_at_once(bench) -> None:
    data = bench().dataset(training=True)
    length = planned_length(data, 2, 10**12, None)
    assert length.epochs == 10**12
    assert length.batches == data.batches_planned(10**12)
    many = planned_length(data, 2, None, 10**12)
    assert (many.steps, many.batches) == (10**12, 2 * 10**12)
    assert many.epochs == pytest.approx(2e12 / data.most_in_epoch, rel=0.1)


def test_beyond_the_counted_epochs_the_estimate_goes_on_from_them(
    bench, monkeypatch
) -> None:
    data = replace(bench().dataset(training=True), jitter=0)
    exact = planned_length(data, 3, None, 50)
    monkeypatch.setattr(stages, "EXACT_EPOCHS", 2)
    assert planned_length(data, 3, None, 50) == exact


def fit_stage(run, end: StageEnd) -> Outcome:
    trainer = replace(run.trainer(), limits=Limits(None, stage=end))
    train, test = run.dataset(training=True), run.dataset(training=False)
    return trainer.fit(run.state, train, test)


def test_a_stage_that_ends_is_evaluated_saved_and_has_its_last_row(bench) -> None:
    run = bench(train={"eval_freq": 100, "cb_freq": 7}, checkpoint={"every": 100})
    outcome = fit_stage(run, StageEnd(None, 5, last=False))
    assert outcome.reason == "next_stage"
    counters = run.state.counters
    assert counters.step == counters.evaluated_step == counters.logged_batch == 5
    assert [row.step for row in run.epochs] == [5]
    assert [row.batch for row in run.steps] == [5]
    assert run.state.patience.best_step == 5
    assert run.saved == [5]


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (StageEnd(1, None, last=True), "max_epochs"),
        (StageEnd(None, 5, last=True), "stages"),
    ],
)
def test_the_last_stage_ends_the_run(bench, end: StageEnd, reason: str) -> None:
    run = bench()
    assert fit_stage(run, end).reason == reason
    assert run.told[-1].reason == reason


def test_the_end_of_a_stage_is_the_end_of_an_epoch_to_patience(bench) -> None:
    run = bench(train={"patience": 2, "eval_freq": 100, "learning_rate": 1e-9})
    run.state.patience = replace(
        run.state.patience, best_loss=0.0, best_step=1, waited=1
    )
    assert fit_stage(run, StageEnd(None, 5, last=False)).reason == "patience"


def test_checkpoints_of_before_there_were_stages_are_of_the_first(bench) -> None:
    run = bench()
    run.fit()
    plain = run.state.plain()
    for name in ("stage", "stage_batch", "stage_step", "stage_epoch"):
        del plain["counters"][name]
    other = bench(folder="other")
    other.state.take(plain)
    assert other.state.counters == run.state.counters


def test_how_far_a_checkpoint_had_come_is_known_before_it_is_loaded(bench) -> None:
    run = bench()
    run.state.counters = Counters(9, 20, stage=2, stage_batch=12, stage_step=4)
    save_checkpoint(run.folder, run.state, {})
    (path,) = list_checkpoints(run.folder)
    assert read_counters(path) == run.state.counters
    other = bench(folder="other")
    load_checkpoint(path, other.state)
    assert other.state.counters == run.state.counters
