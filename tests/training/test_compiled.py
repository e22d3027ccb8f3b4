"""Compiled training repeats itself and resumes bit for bit, threads and all."""

import pytest
import torch

from slangmod.training.checkpoint import load_checkpoint, newest_sound
from slangmod.training.compiling import (
    PAYS_AFTER,
    compiled_or_eager,
    estimated_seconds,
)
from slangmod.training.device import reproducible
from slangmod.training.loss import cross_entropy_sum

LARGE = {
    "model": {"dim": 256, "n_heads": 4, "n_layers": 2, "dropout": 0.1, "context": 64},
    "data": {"seq_len": 64, "precision": "bfloat16"},
    "train": {"batch_size": 8, "max_steps": 6, "max_epochs": 50},
}
"""Of a size at which two threads share each layer."""


def run_compiled(bench, folder: str, stop_at: int | None = None, resume: bool = False):
    run = bench(folder=folder, **LARGE)
    model = run.state.model

    def objective(inputs, targets):
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(inputs)
        return cross_entropy_sum(logits, targets, 0.1)

    batch = run.dataset(training=True).batch(0)
    run.objective, compiled = compiled_or_eager(objective, batch, model.parameters())
    assert compiled
    if resume:
        load_checkpoint(newest_sound(run.folder), run.state)
    run.stop_at = stop_at
    run.fit()
    return run


@pytest.mark.slow
def test_compiled_training_is_repeatable_and_resumes_bit_for_bit(bench) -> None:
    with reproducible(enabled=True, threads=2):
        whole = run_compiled(bench, "whole")
        again = run_compiled(bench, "again")
        run_compiled(bench, "parts", stop_at=3)
        resumed = run_compiled(bench, "parts", resume=True)
    weights = [run.state.model.state_dict() for run in (whole, again, resumed)]
    for name, weight in weights[0].items():
        assert torch.equal(weight, weights[1][name]), name
        assert torch.equal(weight, weights[2][name]), name
    assert [row.loss for row in whole.steps[3:]] == [row.loss for row in resumed.steps]


def test_where_no_compiler_works_training_is_eager(bench, monkeypatch, caplog) -> None:
    run = bench()

    def broken(objective, dynamic):
        def fail(inputs, targets):
            raise RuntimeError("InvalidCxxCompiler: no C++ compiler\nmore lines")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    batch = run.dataset(training=True).batch(0)
    chosen = compiled_or_eager(run.objective, batch, run.state.model.parameters())
    assert chosen == (run.objective, False)
    assert caplog.messages == [
        "no compiler works here (InvalidCxxCompiler: no C++ compiler): "
        "training uncompiled"
    ]


def test_a_trial_leaves_no_gradient_behind(bench, monkeypatch) -> None:
    run = bench()
    monkeypatch.setattr(torch, "compile", lambda objective, **_: objective)
    batch = run.dataset(training=True).batch(0)
    _, compiled = compiled_or_eager(run.objective, batch, run.state.model.parameters())
    assert compiled
    assert all(p.grad is None for p in run.state.model.parameters())


def test_short_trainings_are_not_worth_compiling() -> None:
    short = estimated_seconds("cpu", 800_000, 4, 500, 1024)
    long = estimated_seconds("cpu", 25_000_000, 8, 20_000, 16_384)
    assert short < PAYS_AFTER < long
