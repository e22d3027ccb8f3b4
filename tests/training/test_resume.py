"""A resumed run ends with the bits of the uninterrupted one, from any step."""

import shutil
from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch

from slangmod.optim.optimizers import OPTIMIZERS
from slangmod.settings.free import FreeTable
from slangmod.settings.sections import Group, LayerFeedForward, LayerTable
from slangmod.training.checkpoint import load_checkpoint, newest_sound
from slangmod.training.limits import Outcome
from tests.cases import mostly_slow

SETTINGS = {
    "train": {
        "step_freq": 3,
        "max_epochs": 50,
        "max_steps": 40,
        "cb_freq": 2,
        "warmup": 30,
    },
    "model": {"dropout": 0.2},
    "data": {"jitter": 5},
}


def timeless(events: list) -> list:
    """Events without what depends on the clock."""
    names = {"tokens_per_second", "seconds"}
    return [
        replace(event, **{name: 0.0 for name in names if hasattr(event, name)})
        for event in events
    ]


def assert_same_bits(one, other) -> None:
    for (name, a), (_, b) in zip(
        one.model.state_dict().items(), other.model.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name
    left = one.optimizer.state_dict()["state"]
    right = other.optimizer.state_dict()["state"]
    assert left.keys() == right.keys()
    for index, entries in left.items():
        for key, value in entries.items():
            assert torch.equal(
                torch.as_tensor(value), torch.as_tensor(right[index][key])
            )
    kept = {"seconds": 0.0}
    assert replace(one.counters, **kept) == replace(other.counters, **kept)
    assert one.patience == other.patience
    assert one.convergence == other.convergence
    assert one.copies().keys() == other.copies().keys()
    for file, copy in one.copies().items():
        for name, a in copy.items():
            assert torch.equal(a, other.copies()[file][name]), (file, name)
    assert one.sums.tolist() == other.sums.tolist()


def resumed(bench, stops: list[int], change: dict):
    """A run resumed after each of ``stops``; its rows as the files keep them."""
    steps, epochs = [], []
    outcome: Outcome | None = None
    for number, stop in enumerate([*stops, None]):
        run = bench(folder="resumed", **change)
        if number:
            load_checkpoint(newest_sound(run.folder), run.state)
            counters = run.state.counters
            steps = [row for row in steps if row.batch <= counters.logged_batch]
            epochs = [row for row in epochs if row.step <= counters.evaluated_step]
        run.stop_at = stop
        outcome = run.fit()
        steps += run.steps
        epochs += run.epochs
    return run, outcome, timeless(steps), timeless(epochs)


STOPS = {"adamw": (1, 20, 39)}


@pytest.mark.parametrize("optimizer", mostly_slow(OPTIMIZERS, ("adamw", "adafactor")))
def test_a_step_of_forty_can_be_the_last_before_a_resume(bench, optimizer) -> None:
    each_can_be_the_last(bench, optimizer, STOPS.get(optimizer, (17,)))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_first_and_the_last_step_can_be_the_last_before_a_resume(
    bench, optimizer
) -> None:
    each_can_be_the_last(bench, optimizer, (1, 39))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "adafactor", "bfgs"])
def test_every_step_of_forty_can_be_the_last_before_a_resume(bench, optimizer) -> None:
    each_can_be_the_last(bench, optimizer, range(1, 40))


def each_can_be_the_last(bench, optimizer: str, stops: Iterable[int]) -> None:
    change = {**SETTINGS, "train": {**SETTINGS["train"], "optimizer": optimizer}}
    whole = bench(folder="whole", **change)
    outcome = whole.fit()
    assert whole.state.counters.step == 40
    for stop in stops:
        run, ended, steps, epochs = resumed(bench, [stop], change)
        assert ended == outcome
        assert steps == timeless(whole.steps)
        assert epochs == timeless(whole.epochs)
        assert_same_bits(run.state, whole.state)
        for path in run.folder.iterdir():
            for file in path.iterdir():
                file.unlink()
            path.rmdir()


def changed(**change):
    """SETTINGS with tables laid over those that are there."""
    keys = SETTINGS.keys() | change.keys()
    return {key: {**SETTINGS.get(key, {}), **change.get(key, {})} for key in keys}


GROUPS = (
    Group(match="embedding.*", learning_rate=0.0),
    Group(match="layers.1.*", learning_rate=0.003, weight_decay=0.1),
)
MIXED = (
    LayerTable(n_heads=4, n_kv_heads=1, qk_norm=True),
    LayerTable(feedforward=LayerFeedForward(flavor="glu", gate="torch.nn:RReLU")),
)
OTHERS = {
    "RAdam": changed(train={"optimizer": "torch.optim:RAdam"}),
    "ASGD": changed(train={"optimizer": "torch.optim:ASGD"}),
    "a class with options": changed(
        train={"optimizer": "torch.optim:SGD"},
        optimizer={
            "options": FreeTable({"momentum": 0.9}),
            "group": (Group(match="*norm*", momentum=0.5),),
        },
    ),
    "groups of adamw": changed(optimizer={"group": GROUPS}),
    "groups of muon": changed(train={"optimizer": "muon"}, optimizer={"group": GROUPS}),
    "groups of rprop": changed(
        train={"optimizer": "rprop"}, optimizer={"group": GROUPS[:1]}
    ),
    "mixed layers": changed(model={"layer": MIXED, "positions": "rotary"}),
}


@pytest.mark.parametrize("kind", mostly_slow(OTHERS, ("RAdam", "groups of muon")))
def test_what_is_not_built_in_is_resumed_with_the_same_bits(bench, kind: str) -> None:
    whole = bench(folder="whole", **OTHERS[kind])
    outcome = whole.fit()
    run, ended, steps, epochs = resumed(bench, [1, 2, 17, 39], OTHERS[kind])
    assert ended == outcome
    assert (steps, epochs) == (timeless(whole.steps), timeless(whole.epochs))
    assert_same_bits(run.state, whole.state)


WATCHED = {
    **SETTINGS,
    "train": {
        **SETTINGS["train"],
        "eval_freq": 10,
        "ema": 0.8,
        "z_loss": 1e-3,
        "patience_steps": 30,
        "patience_increase": 1.0,
        "convergence_threshold": 1e-9,
        "convergence_norm": "update",
    },
}
"""Everything that watches weights, and ends the run at step 30."""


ONE_BY_ONE = [[1], [9], [10], [29]]


@pytest.mark.parametrize(
    "stops", [[[3, 4, 11, 20]], pytest.param(ONE_BY_ONE, marks=pytest.mark.slow)]
)
def test_what_watches_the_weights_resumes_bit_for_bit(bench, stops) -> None:
    whole = bench(folder="whole", **WATCHED)
    outcome = whole.fit()
    assert (outcome.reason, whole.state.counters.step) == ("patience_steps", 30)
    assert len(whole.state.copies()) == 2
    for some in stops:
        run, ended, steps, epochs = resumed(bench, some, WATCHED)
        assert ended == outcome
        assert (steps, epochs) == (timeless(whole.steps), timeless(whole.epochs))
        assert_same_bits(run.state, whole.state)
        shutil.rmtree(run.folder)


def test_a_chain_of_resumes_equals_none(bench) -> None:
    whole = bench(folder="whole", **SETTINGS)
    outcome = whole.fit()
    run, ended, steps, epochs = resumed(bench, [1, 2, 5, 6, 13, 14, 29, 39], SETTINGS)
    assert ended == outcome
    assert (steps, epochs) == (timeless(whole.steps), timeless(whole.epochs))
    assert_same_bits(run.state, whole.state)


def test_a_run_with_larger_limits_goes_on_as_if_it_had_never_ended(bench) -> None:
    longer = {**SETTINGS, "train": {**SETTINGS["train"], "max_steps": 31}}
    whole = bench(folder="whole", **longer)
    whole.fit()
    short = {**SETTINGS, "train": {**SETTINGS["train"], "max_steps": 17}}
    first = bench(folder="short", **short)
    assert first.fit().reason == "max_steps"
    second = bench(folder="short", **longer)
    load_checkpoint(newest_sound(second.folder), second.state)
    counters = second.state.counters
    steps = [row for row in first.steps if row.batch <= counters.logged_batch]
    epochs = [row for row in first.epochs if row.step <= counters.evaluated_step]
    second.fit()
    assert timeless(steps + second.steps) == timeless(whole.steps)
    assert timeless(epochs + second.epochs) == timeless(whole.epochs)
    assert_same_bits(second.state, whole.state)
