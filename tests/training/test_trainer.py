"""The recipe: what is done when, and what is told of it."""

import errno
import json
import math
from dataclasses import replace

import pytest
import torch

from slangmod.errors import RunError
from slangmod.settings.sections import Group
from slangmod.training.checkpoint import list_checkpoints, load_weights, step_of
from slangmod.training.course import Rules
from slangmod.training.evaluate import Evaluator, LossSum
from slangmod.training.limits import Limits, passed
from slangmod.training.loss import cross_entropy_sum
from slangmod.training.state import Counters
from slangmod.training.stopping import AVERAGE


def test_training_ends_after_its_epochs(bench) -> None:
    run = bench(train={"max_epochs": 3})
    outcome = run.fit()
    assert outcome.reason == "max_epochs"
    assert [row.epoch for row in run.epochs] == [1, 2, 3]
    assert run.state.counters.batch == run.dataset(training=True).batches_until(3)


def test_the_loss_falls(bench) -> None:
    run = bench(train={"max_epochs": 25, "scaling": "cosine", "label_smoothing": 0.0})
    run.fit()
    assert run.epochs[0].test_loss > 1.5
    assert run.epochs[-1].test_loss < 0.85  # two successors each: ln 2 is 0.69


def test_training_ends_after_its_steps_and_looks_at_what_it_learnt(bench) -> None:
    run = bench(train={"max_steps": 5})
    outcome = run.fit()
    assert (outcome.reason, run.state.counters.step) == ("max_steps", 5)
    assert [row.step for row in run.epochs] == [5]
    assert outcome.patience.best_step == 5
    assert run.state.patience.best_step == 0


def test_patience_stops_and_the_best_checkpoint_is_there(bench) -> None:
    run = bench(train={"max_epochs": 60, "patience": 2, "learning_rate": 0.5})
    outcome = run.fit()
    assert outcome.reason == "patience"
    losses = [row.test_loss for row in run.epochs]
    best = losses.index(min(losses))
    assert len(losses) == best + 3
    assert outcome.patience.best_step == run.epochs[best].step
    steps = [step_of(path) for path in list_checkpoints(run.folder)]
    assert outcome.patience.best_step in steps


def test_the_best_checkpoint_has_the_best_loss(bench) -> None:
    run = bench(train={"max_epochs": 8, "learning_rate": 0.3, "warmup": 0})
    outcome = run.fit()
    best = [
        path
        for path in list_checkpoints(run.folder)
        if step_of(path) == outcome.patience.best_step
    ]
    load_weights(best[0], run.state.model)
    score = run.trainer().evaluator.loss(run.state.model, run.dataset(training=False))
    assert score is not None
    assert score.mean == min(row.test_loss for row in run.epochs)


@pytest.mark.parametrize(("step_freq", "cb_freq"), [(1, 1), (1, 4), (4, 1), (3, 2)])
def test_a_row_every_cb_freq_batches_and_one_for_the_last(
    bench, step_freq: int, cb_freq: int
) -> None:
    run = bench(train={"step_freq": step_freq, "cb_freq": cb_freq, "max_epochs": 2})
    run.fit()
    last = run.state.counters.batch
    expected = sorted({*range(cb_freq, last + 1, cb_freq), last})
    assert [row.batch for row in run.steps] == expected


def test_rows_before_the_first_step_know_no_rate(bench) -> None:
    run = bench(train={"step_freq": 3, "max_epochs": 1})
    run.fit()
    assert [(row.step, row.learning_rate is None) for row in run.steps[:4]] == [
        (0, True),
        (0, True),
        (1, False),
        (1, False),
    ]
    assert run.steps[1].grad_norm is None
    assert run.steps[2].grad_norm > 0


def test_the_rate_told_is_the_rate_used(bench) -> None:
    run = bench(train={"step_freq": 2, "warmup": 10, "learning_rate": 0.5})
    run.fit()
    rates = {row.step: row.learning_rate for row in run.steps if row.step}
    assert rates[1] == 0.5 * 1 / 10
    assert rates[2] == 0.5 * 3 / 10
    assert rates[5] == 0.5 * 9 / 10


def test_a_short_last_group_of_an_epoch_is_a_step(bench) -> None:
    run = bench(train={"step_freq": 5, "max_epochs": 2})
    data = run.dataset(training=True)
    run.fit()
    expected = sum(math.ceil(data.batches_in(epoch) / 5) for epoch in (1, 2))
    assert run.state.counters.step == expected


def test_the_losses_of_rows_make_up_the_loss_of_the_epoch(bench) -> None:
    run = bench(train={"cb_freq": 3, "max_epochs": 1})
    run.fit()
    tokens = [0, *(row.tokens for row in run.steps)]
    total = sum(
        row.loss * (now - before)
        for row, before, now in zip(run.steps, tokens, tokens[1:], strict=False)
    )
    assert run.epochs[0].train_loss == pytest.approx(total / tokens[-1], rel=1e-12)


def test_tokens_count_targets(bench) -> None:
    run = bench(train={"max_epochs": 1}, data={"jitter": 0})
    run.fit()
    assert run.state.counters.tokens == 399


def test_evaluations_every_eval_freq_batches(bench) -> None:
    run = bench(train={"eval_freq": 5, "step_freq": 2, "max_epochs": 2})
    run.fit()
    batches = run.state.counters.batch
    steps = [row.step for row in run.epochs]
    assert len(steps) >= batches // 5
    assert len(set(steps)) == len(steps)


def test_checkpoints_each_epoch_and_every_so_many_batches(bench) -> None:
    run = bench(train={"max_epochs": 2}, checkpoint={"every": 4}, data={"jitter": 0})
    run.fit()
    per_epoch = run.dataset(training=True).batches_in(1)
    due = {*range(4, 2 * per_epoch + 1, 4), per_epoch, 2 * per_epoch}
    assert due <= set(run.saved)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_what_is_not_finite_never_reaches_the_weights(bench, poison: float) -> None:
    run = bench(train={"max_epochs": 2})
    calls = 0

    def objective(inputs, targets):
        nonlocal calls
        calls += 1
        loss = cross_entropy_sum(run.state.model(inputs), targets)
        return loss * poison if calls == 7 else loss

    run.objective = objective
    with pytest.raises(RunError, match=r"step 7 \(mini-batch 7\)"):
        run.fit()
    assert all(p.isfinite().all() for p in run.state.model.parameters())
    assert run.state.counters.step == 6


HUGE = {
    "optimizer": "sgd",
    "learning_rate": 1e38,
    "warmup": 0,
    "clip_grad": 100.0,
    "max_steps": 1,
}


def test_weights_too_large_to_compute_with_end_a_run(bench) -> None:
    run = bench(train=HUGE)
    with pytest.raises(RunError, match=r"step 1: the test loss is (nan|inf): .* div"):
        run.fit()
    assert all(p.isfinite().all() for p in run.state.model.parameters())
    (row,) = run.epochs
    assert not math.isfinite(row.test_loss)
    assert not row.best


def test_they_are_told_of_where_steps_may_be_left_out(bench, caplog) -> None:
    run = bench(train=HUGE)
    trainer = replace(run.trainer(), rules=Rules(max_skips=3))
    run.trainer = lambda: trainer
    outcome = run.fit()
    assert outcome.patience.best_step == 0
    assert "step 1: the test loss is" in caplog.text


def test_an_average_is_the_best_where_the_weights_are_not_finite(
    bench, monkeypatch
) -> None:
    sums = iter([LossSum(math.nan, 1), LossSum(2.0, 1)])
    monkeypatch.setattr(Evaluator, "loss", lambda *_: next(sums))
    best = bench(train={"max_steps": 4, "ema": 0.9}).fit().patience
    assert (best.best_loss, best.best_weights) == (2.0, AVERAGE)


def test_the_device_guard_skips_bad_steps_until_it_is_read(bench) -> None:
    """The fused optimizer decides on the device; here the CPU plays that part."""
    from slangmod.training.course import Rules
    from slangmod.training.guard import Guard, Note
    from slangmod.training.step import StepResult

    run = bench()
    guard = Guard(run.state, Rules(), torch.device("cpu"), run.told.append)
    guard.on_device = True
    weights = list(run.state.model.parameters())
    for parameter in weights:
        parameter.grad = torch.ones_like(parameter)

    def step(number: int, norm: float) -> list[torch.Tensor]:
        result = StepResult(torch.ones(1).double(), [1], torch.tensor(norm))
        guard.take_step(result, Note(number, 1, 10 * number, [1], 0.1))
        return [p.detach().clone() for p in weights]

    start = [p.detach().clone() for p in weights]
    first = step(1, 1.0)
    assert not torch.equal(first[0], start[0])
    after = step(2, math.nan)
    assert all(torch.equal(a, b) for a, b in zip(first, after, strict=True))
    with pytest.raises(RunError, match=r"step 2 \(mini-batch 21\)"):
        step(3, 1.0)


def test_multiples_passed() -> None:
    assert [passed(5, 3, now) for now in (4, 5, 9)] == [False, True, True]
    assert not passed(5, 5, 9)


def test_counters_survive_json(bench) -> None:
    import json

    run = bench(train={"max_epochs": 1})
    run.fit()
    plain = json.loads(json.dumps(run.state.plain(), allow_nan=False))
    other = bench(folder="other")
    other.state.take(plain)
    assert other.state.counters == run.state.counters
    assert other.state.counters != Counters()
    assert other.state.patience == run.state.patience


def test_the_time_of_a_step_is_shared_among_its_mini_batches(bench) -> None:
    run = bench(train={"step_freq": 3, "cb_freq": 1, "max_steps": 4})
    run.fit()
    # The clock ticks once a step, so each of three mini-batches takes a third.
    tokens = [0, *(row.tokens for row in run.steps)]
    for before, row in zip(tokens, run.steps[:3], strict=False):
        expected = 3 * (row.tokens - before)
        assert row.tokens_per_second == pytest.approx(expected)


def test_any_number_of_epochs_may_be_allowed(bench) -> None:
    run = bench(train={"max_epochs": 10**12, "max_steps": 2})
    assert run.fit().reason == "max_steps"


def test_what_is_saved_when_time_is_over_knows_that_it_is(bench) -> None:
    run = bench(checkpoint={"every": 1})
    save = run.save

    def slow_save(state):
        save(state)
        run.seconds += 50

    run.save = slow_save
    trainer = replace(run.trainer(), limits=Limits(10, max_seconds=100))
    train, test = run.dataset(training=True), run.dataset(training=False)
    assert trainer.fit(run.state, train, test).reason == "max_time"
    state = json.loads(
        (list_checkpoints(run.folder)[0] / "state.json").read_text("utf-8")
    )
    assert state["counters"]["seconds"] >= 100


def test_a_full_disk_leaves_no_part_of_a_checkpoint(bench, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("slangmod.training.checkpoint.written", full)
    run = bench()
    with pytest.raises(OSError, match="No space left"):
        run.fit()
    assert not list(run.folder.iterdir())


def test_the_rate_told_is_that_of_weights_without_a_rate_of_their_own(bench) -> None:
    plain = bench(train={"max_steps": 6})
    plain.fit()
    groups = (Group(match="*", learning_rate=0.5),)
    run = bench(folder="grouped", train={"max_steps": 6}, optimizer={"group": groups})
    run.fit()
    told = [row.learning_rate for row in run.steps]
    assert told == [row.learning_rate for row in plain.steps]
    assert run.state.optimizer.param_groups[0]["lr"] == 50 * told[-1]


def test_weights_of_rate_0_end_a_run_as_they_began(bench) -> None:
    groups = (Group(match="embedding.*", learning_rate=0.0),)
    run = bench(train={"max_steps": 6}, optimizer={"group": groups})
    before = {name: w.clone() for name, w in run.state.model.state_dict().items()}
    run.fit()
    after = run.state.model.state_dict()
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert kept == {"embedding.weight"}


def test_a_checkpoint_that_is_tried_again_leaves_no_trace(bench) -> None:
    plain = bench(train={"max_steps": 7}, checkpoint={"every": 3})
    plain.fit()
    run = bench(folder="again", train={"max_steps": 7}, checkpoint={"every": 3})
    trainer = replace(run.trainer(), save_again=lambda: True)
    trainer.fit(run.state, run.dataset(training=True), run.dataset(training=False))
    assert set(run.saved) == set(range(8))
    assert len(plain.saved) < 5
    assert run.state.plain() == plain.state.plain()
    assert run.told == plain.told
