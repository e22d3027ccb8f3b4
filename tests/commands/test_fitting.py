"""Rows at a time are as many as fit, are kept with the run, and change no step."""

import csv
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from slangmod.cli import main
from slangmod.commands import fitting
from slangmod.commands.fitting import needed, rows_at_once
from slangmod.errors import UserError
from slangmod.runs.summary import read_summary
from slangmod.settings import load_settings
from tests.cases import mostly_slow
from tests.reliability.small_work import make_work, train

CPU = torch.device("cpu")
AUTO = {
    "train.batch_size": 8,
    "train.step_freq": 4,
    "train.largest_batch": True,
    "data.seq_len": 16,
    "model.dim": 16,
    "model.n_heads": 2,
    "model.n_layers": 2,
    "data.precision": "float32",
}


def have(monkeypatch: pytest.MonkeyPatch, free: int | None) -> None:
    monkeypatch.setattr(fitting, "free_bytes", lambda _: free)


@pytest.mark.parametrize("rows", mostly_slow((1, 2, 4, 8, 16, 32), (16,)))
def test_the_largest_portion_that_fits_is_chosen(monkeypatch, rows: int) -> None:
    settings = load_settings(None, AUTO)
    have(monkeypatch, int(needed(settings, rows, 257, CPU) / fitting.SHARE) + 16)
    assert rows_at_once(settings, 257, CPU) == rows


def test_what_is_not_asked_for_is_not_weighed(monkeypatch) -> None:
    have(monkeypatch, None)
    assert rows_at_once(load_settings(None, {}), 257, CPU) is None


@pytest.mark.parametrize(
    ("free", "reason"),
    [
        pytest.param(1000, "not even one row fits", marks=pytest.mark.slow),
        (None, "does not tell"),
    ],
)
def test_what_cannot_be_chosen_is_an_error(monkeypatch, free, reason: str) -> None:
    have(monkeypatch, free)
    with pytest.raises(UserError, match=reason):
        rows_at_once(load_settings(None, AUTO), 257, CPU)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_work(tmp_path)


def column(name: str, key: str) -> list[str]:
    with Path("runs", name, "steps.csv").open(newline="") as stream:
        return [row[key] for row in csv.DictReader(stream)]


@pytest.mark.parametrize("rows", mostly_slow((2, 16), (2,)))
def test_a_run_in_portions_takes_the_same_steps_and_resumes_in_the_same_portions(
    work: Path, monkeypatch, rows: int
) -> None:
    same = ("--model.dropout", "0", "--train.cb_freq", "2")
    assert train("plain", *same) == 0
    chosen = iter([rows, rows])
    monkeypatch.setattr(fitting, "largest", lambda *_: next(chosen))
    auto = (*same, "--train.batch_size", "auto")
    assert train("whole", *auto) == 0
    for key in ("step", "batch", "tokens", "learning_rate"):
        assert column("whole", key) == column("plain", key)
    environment = read_summary(Path("runs/whole/summary.toml"))["environment"]
    assert environment["rows_at_once"] == rows
    losses = ([float(x) for x in column(name, "loss")] for name in ("plain", "whole"))
    assert next(losses) == pytest.approx(next(losses), rel=1e-3)

    assert train("halves", *auto, "--train.max_steps", "5") == 0
    more = ("--train.max_steps", "none")
    assert main(["resume", "--name", "halves", *more]) == 0
    assert column("halves", "loss") == column("whole", "loss")
    model = "model/model.safetensors"
    one, other = (load_file(f"runs/{name}/{model}") for name in ("whole", "halves"))
    assert all(torch.equal(one[key], other[key]) for key in one)
