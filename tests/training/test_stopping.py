"""When training ends for want of progress, against tables, and in the trainer."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest
from safetensors.numpy import load_file

from slangmod.settings.sections import Train
from slangmod.training import convergence
from slangmod.training.checkpoint import (
    checkpoint_path,
    load_checkpoint,
    newest_sound,
)
from slangmod.training.convergence import NORMS
from slangmod.training.loss import LossSum
from slangmod.training.reasons import WHY
from slangmod.training.state import EVALUATED_FILE
from slangmod.training.stopping import Convergence, Patience, StepPatience

LOSSES = (3.0, 2.5, 2.4, 2.399)


def losses() -> Iterator[float]:
    """3, 2.5, 2.4, 2.399, and then 2.398 for ever."""
    yield from LOSSES
    while True:
        yield 2.398


def stopped(steps: StepPatience, each: Iterator[float], every: int = 100):
    """The step that a patience ends at, and what is known then; none in 10000."""
    patience = Patience(steps=steps)
    for step in range(1, 10_001):
        if step % every == 0:
            patience = patience.after(step, step // every, next(each))
        if patience.steps.exhausted(step):
            return step, patience
    return None, patience


TABLE = [
    # patience_steps, patience_increase, ends at, with its best at
    (10, 2.0, 600, 500),
    (100, 2.0, 600, 500),
    (250, 2.0, 600, 500),
    (400, 2.0, 600, 500),
    (2000, 2.0, 2000, 500),
    (200, 1.0, 200, 200),
    (10, 1.0, 100, 100),
    (None, 2.0, None, 500),
]


@pytest.mark.parametrize(("limit", "increase", "end", "best"), TABLE)
def test_patience_in_steps_ends_where_the_table_says(
    limit: int | None, increase: float, end: int | None, best: int
) -> None:
    found, patience = stopped(StepPatience(limit, increase), losses())
    assert (found, patience.best_step) == (end, best)


def test_slow_but_steady_progress_counts() -> None:
    slow = (3 * 0.998**number for number in range(1000))
    assert stopped(StepPatience(400, 2.0), slow)[0] is None
    slow = (3 * 0.998**number for number in range(1000))
    assert stopped(StepPatience(400, 2.0, threshold=1.5), slow)[0] == 400


def test_a_deadline_is_rounded_up() -> None:
    assert StepPatience(1, 1.5).after(7, 3.0).deadline == 11


def test_other_limits_hold_as_if_they_always_had() -> None:
    plain = StepPatience(100, 2.0).after(300, 2.4)
    kept = Patience(steps=plain).after(400, 4, 2.4).plain()
    longer = Patience(steps=StepPatience(900, 4.0)).recalled(kept)
    assert longer.steps.deadline == 1200
    assert longer.steps.reference == 2.4


def test_what_is_known_before_an_evaluation_survives_json() -> None:
    patience = Patience(3, steps=StepPatience(100))
    plain = json.loads(json.dumps(patience.plain(), allow_nan=False))
    assert patience.recalled(plain) == patience


def test_training_has_converged_when_the_norm_falls_below_the_threshold() -> None:
    known, reached = Convergence(1e-4), []
    for norm in (1.0, 0.1, 5e-5):
        known = known.after(norm)
        reached.append(known.reached)
    assert reached == [False, False, True]
    assert not Convergence(None).after(0.0).reached
    assert not Convergence(1e-4).reached
    assert not Convergence(1e-4).after(1e-4).reached


def test_a_norm_of_another_kind_is_forgotten() -> None:
    kept = {"threshold": 1.0, "kind": "gradient", "norm": 0.5}
    assert Convergence(0.6).recalled(kept).reached
    assert Convergence(0.6, "update").recalled(kept).norm is None


def test_the_words_for_norms_are_those_of_the_settings() -> None:
    field = Train.model_fields["convergence_norm"]
    assert set(get_args(field.annotation)) == set(NORMS)


@dataclass
class Scripted:
    """An evaluator that finds the losses it is given."""

    each: Iterator[float]

    def loss(self, *_: Any) -> LossSum:
        return LossSum(next(self.each), 1)


def fit(run, each: Iterator[float]):
    """Train with ``each`` test loss at an evaluation every 5 steps."""
    trainer = replace(run.trainer(), evaluator=Scripted(each))
    train, test = run.dataset(training=True), run.dataset(training=False)
    return trainer.fit(run.state, train, test)


EVERY_5 = {"eval_freq": 5, "max_epochs": 1000, "max_steps": 150}


@pytest.mark.parametrize(("limit", "increase", "end", "best"), TABLE[:-1])
def test_the_trainer_stops_where_the_table_says(
    bench, limit: int, increase: float, end: int, best: int
) -> None:
    """All steps of the table divided by 20, as far as they are whole."""
    steps = {"patience_steps": -(-limit // 20), "patience_increase": increase}
    run = bench(train={**EVERY_5, **steps}, data={"jitter": 0})
    outcome = fit(run, losses())
    assert (outcome.reason, run.state.counters.step) == ("patience_steps", end // 20)
    assert outcome.patience.best_step == best // 20
    since = run.state.patience.steps.reference_step
    assert outcome.why == (
        f"no significantly better test loss since step {since}: "
        f"patience ended at step {end // 20}"
    )


def test_a_deadline_between_evaluations_is_kept_to_the_step(bench) -> None:
    run = bench(train={**EVERY_5, "patience_steps": 7, "patience_increase": 1.0})
    outcome = fit(run, losses())
    assert (outcome.reason, run.state.counters.step) == ("patience_steps", 7)
    assert [row.step for row in run.epochs] == [5, 7]
    assert outcome.patience.best_step == 7
    assert run.state.patience.best_step == 5


def test_a_small_gradient_ends_the_run(bench, monkeypatch) -> None:
    norms = iter((1.0, 0.1, 5e-5))
    monkeypatch.setitem(NORMS, "gradient", lambda _: next(norms))
    run = bench(train={**EVERY_5, "convergence_threshold": 1e-4})
    outcome = fit(run, losses())
    assert (outcome.reason, run.state.counters.step) == ("converged", 15)
    assert outcome.why == (
        "gradient norm 5e-05 below convergence_threshold 0.0001 at step 15"
    )


def test_whichever_rule_fires_first_ends_the_run(bench) -> None:
    both = {**EVERY_5, "patience": 2, "patience_steps": 100, "eval_freq": None}
    run = bench(train=both)
    outcome = fit(run, iter([2.0, 3.0, 3.0]))
    assert outcome.reason == "patience"
    best = run.epochs[0].step
    assert outcome.why == (
        f"test loss has not improved for 2 epochs: best 2 at step {best}"
    )
    run = bench(train={**both, "patience": 50, "patience_steps": 3})
    outcome = fit(run, iter([2.0, 3.0, 3.0]))
    assert outcome.reason == "patience_steps"


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"max_epochs": 2}, "all epochs are done"),
        ({"max_steps": 3}, "train.max_steps is reached"),
    ],
)
def test_limits_say_why_too(bench, limits: dict[str, int], why: str) -> None:
    run = bench(train=limits)
    outcome = run.fit()
    assert outcome.reason in limits
    assert outcome.why == run.told[-1].why == why


def test_reasons_are_told_in_one_line(bench) -> None:
    state = bench().state
    state.convergence = Convergence(1e-4).after(1e-5)
    for words in WHY.values():
        assert "\n" not in words(state)


def test_the_gradient_is_that_of_the_last_step_before_clipping(bench) -> None:
    run = bench(train={"max_epochs": 1, "clip_grad": 1e-3})
    run.fit()
    assert run.state.convergence.norm == run.steps[-1].grad_norm > 1e-3


def test_the_update_is_the_change_since_the_last_evaluation(bench) -> None:
    run = bench(
        train={
            **EVERY_5,
            "max_steps": 10,
            "convergence_threshold": 1e-9,
            "convergence_norm": "update",
        },
        checkpoint={"every": 1},
    )
    seen: list[float] = []
    start = {name: w.detach().numpy().copy() for name, w in weights_of(run)}
    run.fit()
    kept = [start]
    paths = [checkpoint_path(run.folder, step) for step in (5, 10)]
    kept += [load_file(path / "model.safetensors") for path in paths]
    for before, after in pairwise(kept):
        change = [(after[name] - before[name]).ravel() for name in start]
        seen.append(float(np.linalg.norm(np.concatenate(change).astype(np.float64))))
    assert run.state.convergence.norm == pytest.approx(seen[1], rel=1e-6)
    first = json.loads(
        (checkpoint_path(run.folder, 5) / "state.json").read_text("utf-8")
    )
    assert first["convergence"]["norm"] == pytest.approx(seen[0], rel=1e-6)
    last = load_file(checkpoint_path(run.folder, 10) / EVALUATED_FILE)
    assert all((last[name] == kept[2][name]).all() for name in start)


def weights_of(run):
    return run.state.model.named_parameters()


def test_weights_that_rest_end_the_run(bench) -> None:
    rest = {"convergence_threshold": 1e-3, "convergence_norm": "update"}
    run = bench(train={**EVERY_5, **rest, "learning_rate": 1e-6})
    outcome = run.fit()
    assert (outcome.reason, run.state.counters.step) == ("converged", 5)
    assert outcome.why.startswith("update norm ")


PATIENT = {**EVERY_5, "patience_increase": 1.0, "learning_rate": 0.3, "warmup": 0}


def test_a_run_with_more_patience_goes_on_as_if_it_had_never_ended(bench) -> None:
    whole = bench(folder="whole", train={**PATIENT, "patience_steps": 33})
    assert whole.fit().reason == "patience_steps"
    first = bench(folder="short", train={**PATIENT, "patience_steps": 12})
    assert first.fit().reason == "patience_steps"
    assert first.state.counters.step < whole.state.counters.step
    second = bench(folder="short", train={**PATIENT, "patience_steps": 33})
    load_checkpoint(newest_sound(second.folder), second.state)
    second.fit()
    assert second.state.patience == whole.state.patience
    assert second.state.counters.step == whole.state.counters.step
    for (name, one), (_, other) in zip(
        weights_of(second), weights_of(whole), strict=True
    ):
        assert (one == other).all(), name


def test_a_threshold_given_on_the_way_counts_from_there(bench) -> None:
    first = bench(train={**EVERY_5, "max_steps": 7})
    first.fit()
    rest = {"convergence_threshold": 1e-9, "convergence_norm": "update"}
    second = bench(train={**EVERY_5, **rest, "max_steps": 7})
    load_checkpoint(newest_sound(second.folder), second.state)
    assert second.state.convergence.norm is None
    assert convergence.update_norm(second.state) == 0.0
    second.fit()
    assert convergence.update_norm(second.state) == 0.0


def test_a_norm_below_the_threshold_counts_at_evaluations_only(bench) -> None:
    run = bench(train={**EVERY_5, "convergence_threshold": 1e9})
    data = run.dataset(training=True)
    state, trainer = run.state, run.trainer()
    state.convergence = state.convergence.after(1.0)
    state.counters.batch, state.counters.epoch = 5, 1
    state.counters.evaluated_batch = 5
    assert trainer.reason_to_end(state, data) == "converged"
    state.counters.batch = 6
    assert trainer.reason_to_end(state, data) is None
