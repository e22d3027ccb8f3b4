"""The moving average of the weights: its formula, its looks, its place on disk."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from slangmod.errors import RunError
from slangmod.training.checkpoint import (
    FILE_OF,
    checkpoint_path,
    list_checkpoints,
    load_checkpoint,
    load_weights,
    newest_sound,
)
from slangmod.training.copies import Average, copy_weights, decay_at, distance
from slangmod.training.evaluate import Evaluator
from slangmod.training.loss import LossSum
from slangmod.training.state import AVERAGE_FILE
from slangmod.training.stopping import AVERAGE, CURRENT, Patience

CPU = torch.device("cpu")
ALWAYS = {"every": 1, "keep": 100}


@dataclass
class Weight:
    """Nothing but one number to learn, for whoever looks for weights."""

    value: torch.nn.Parameter

    def named_parameters(self):
        return [("value", self.value)]


@dataclass
class Scripted:
    """An evaluator that finds the losses it is given."""

    each: Iterator[float]

    def loss(self, *_: object) -> LossSum:
        return LossSum(next(self.each), 1)


@pytest.mark.parametrize(
    ("step", "expected"), [(1, 2 / 11), (2, 3 / 12), (8, 0.5), (80, 0.9), (81, 0.9)]
)
def test_the_decay_rises_to_what_is_asked_for(step: int, expected: float) -> None:
    assert decay_at(0.9, step) == pytest.approx(expected, rel=1e-15)


def test_the_average_of_known_numbers() -> None:
    model = Weight(torch.nn.Parameter(torch.tensor([1.0], dtype=torch.float64)))
    average = Average.of(0.4, model)
    expected = 1.0
    for step, value in enumerate((2.0, -3.0, 5.0, 7.0, 11.0), start=1):
        model.value.data.fill_(value)
        average.follow(model, step)
        decay = min(0.4, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        assert average.weights["value"].item() == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_the_average_in_training_is_that_of_a_loop_in_numpy(bench, decay) -> None:
    run = bench(train={"ema": decay, "max_steps": 12})
    kept: list[dict[str, np.ndarray]] = []

    def note_weights(_: int = 0) -> None:
        """Before each step, and once after the last."""
        now = copy_weights(run.state.model)
        kept.append({name: weight.numpy() for name, weight in now.items()})

    trainer = replace(run.trainer(), seed_chance=note_weights)
    trainer.fit(run.state, run.dataset(training=True), run.dataset(training=False))
    note_weights()
    start, *after = kept
    expected = {name: w.astype(np.float64) for name, w in start.items()}
    for step, weights in enumerate(after, start=1):
        share = 1 - min(decay, (1 + step) / (10 + step))
        for name, weight in weights.items():
            expected[name] = expected[name] + share * (weight - expected[name])
    assert run.state.counters.step == len(after) == 12
    for name, weight in run.state.average.weights.items():
        np.testing.assert_allclose(weight.numpy(), expected[name], atol=1e-6)
    assert distance(run.state.average.weights, run.state.model) > 1e-3


def test_an_average_changes_nothing_of_what_is_learnt(bench) -> None:
    plain, averaged = bench(), bench(folder="averaged", train={"ema": 0.9})
    plain.fit()
    averaged.fit()
    for (name, one), (_, other) in zip(
        plain.state.model.named_parameters(),
        averaged.state.model.named_parameters(),
        strict=True,
    ):
        assert torch.equal(one, other), name
    assert [row.test_loss for row in plain.epochs] == [
        row.test_loss for row in averaged.epochs
    ]
    assert [row.ema_test_loss for row in plain.epochs] == [None, None]


def test_both_are_evaluated_and_the_better_is_the_best(bench) -> None:
    rough = {"learning_rate": 0.1, "scaling": "constant", "max_epochs": 4}
    run = bench(train={**rough, "ema": 0.9}, checkpoint=ALWAYS)
    outcome = run.fit()
    evaluator, test = run.trainer().evaluator, run.dataset(training=False)
    for row in run.epochs:
        path = checkpoint_path(run.folder, row.step)
        for weights, loss in ((CURRENT, row.test_loss), (AVERAGE, row.ema_test_loss)):
            load_weights(path, run.state.model, FILE_OF[weights])
            assert evaluator.loss(run.state.model, test).mean == loss
    both = [min(row.test_loss, row.ema_test_loss) for row in run.epochs]
    best = both.index(min(both))
    assert outcome.patience.best_loss == both[best]
    assert outcome.patience.best_step == run.epochs[best].step
    assert run.epochs[best].ema_test_loss < run.epochs[best].test_loss
    assert outcome.patience.best_weights == AVERAGE


def test_what_is_best_of_equals_are_the_weights_themselves() -> None:
    patience = Patience().after(1, 1, 2.0, AVERAGE).after(2, 1, 2.0, CURRENT)
    assert (patience.best_weights, patience.best_step) == (AVERAGE, 1)
    assert patience.after(3, 1, 1.0).best_weights == CURRENT


def test_a_better_average_is_progress_for_patience(bench) -> None:
    """Weights get worse and worse here, and their average better."""
    run = bench(train={"ema": 0.9, "patience": 2, "max_epochs": 6})
    looks = iter(x for epoch in range(1, 7) for x in (2.0 + epoch, 2.0 - epoch / 10))
    trainer = replace(run.trainer(), evaluator=Scripted(looks))
    outcome = trainer.fit(
        run.state, run.dataset(training=True), run.dataset(training=False)
    )
    assert outcome.reason == "max_epochs"
    assert outcome.patience.best_loss == pytest.approx(1.4)


def test_a_look_at_the_average_leaves_every_bit_where_it_was(bench) -> None:
    state = bench(train={"ema": 0.9}).state
    with torch.no_grad():
        for weight in state.model.parameters():
            weight.add_(1.0)
    weights, average = copy_weights(state.model), dict(state.average.weights)
    with pytest.raises(ZeroDivisionError), state.average.in_place_of(state.model):
        inside = copy_weights(state.model)
        raise ZeroDivisionError
    for name, weight in state.model.named_parameters():
        assert torch.equal(weight, weights[name])
        assert torch.equal(inside[name], average[name])
        assert state.average.weights[name] is not weight
        assert torch.equal(state.average.weights[name], average[name])


def test_the_average_is_a_file_of_the_checkpoint_only_where_there_is_one(bench) -> None:
    plain, averaged = bench(), bench(folder="averaged", train={"ema": 0.9})
    plain.fit()
    averaged.fit()
    usual = [
        "manifest.json",
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]
    (path, *_), (more, *_) = map(list_checkpoints, (plain.folder, averaged.folder))
    assert sorted(file.name for file in path.iterdir()) == usual
    assert sorted(file.name for file in more.iterdir()) == [AVERAGE_FILE, *usual]
    manifest = json.loads((more / "manifest.json").read_text("utf-8"))
    assert AVERAGE_FILE in manifest["files"]
    assert load_file(more / AVERAGE_FILE).keys() == (
        load_file(more / "model.safetensors").keys()
    )


def test_a_damaged_average_is_noticed(bench) -> None:
    run = bench(train={"ema": 0.9}, checkpoint=ALWAYS)
    run.fit()
    newest = list_checkpoints(run.folder)[0]
    content = bytearray((newest / AVERAGE_FILE).read_bytes())
    content[-1] ^= 1
    (newest / AVERAGE_FILE).write_bytes(content)
    assert newest_sound(run.folder) == list_checkpoints(run.folder)[1]


def test_a_checkpoint_without_the_average_does_not_fit(bench) -> None:
    run = bench()
    run.fit()
    other = bench(folder="other", train={"ema": 0.9})
    with pytest.raises(RunError, match=r"average\.safetensors"):
        load_checkpoint(newest_sound(run.folder), other.state)


def test_an_interrupted_look_at_the_average_is_none(bench) -> None:
    run = bench(train={"ema": 0.9})
    data = run.dataset(training=False)
    answers = iter([False] * data.batches_in(1) + [True])
    evaluator = Evaluator(CPU, "float32", lambda: next(answers))
    trainer = replace(run.trainer(), evaluator=evaluator)
    assert trainer.test_losses(run.state, data) is None
