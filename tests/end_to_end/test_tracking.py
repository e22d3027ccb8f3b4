"""A tracker in trouble is no trouble for training."""

import json
import signal
from pathlib import Path

import pytest

from slangmod.cli import main

ASKING = ("--track.backends", '["mlflow"]', "--track.every", "1")

BROKEN = """\
import time
from types import SimpleNamespace

class MlflowException(Exception):
    pass

def MlflowClient(tracking_uri):
    {trouble}

entities = SimpleNamespace()
"""
"""Stands in for the package mlflow: the current folder is where Python looks first."""


def stand_in(folder: Path, trouble: str) -> None:
    package = folder / "mlflow"
    package.mkdir()
    (package / "__init__.py").write_text(BROKEN.format(trouble=trouble), "utf-8")


def test_a_missing_package_is_an_error_before_anything_is_written(
    encoded, monkeypatch, capsys
) -> None:
    monkeypatch.setattr("slangmod.runs.trackers.find_spec", {}.get)
    monkeypatch.chdir(encoded.folder)
    assert main(["train", "--toml", "config.toml", "--name", "run", *ASKING]) == 2
    assert capsys.readouterr().err == (
        'slangmod: error: track.backends: "mlflow" needs the package: '
        "pip install slangmod[mlflow]\n"
    )
    assert not (encoded.folder / "runs").exists()


@pytest.mark.slow
def test_training_ends_well_though_the_server_is_gone(encoded) -> None:
    stand_in(encoded.folder, "raise OSError('connection refused')")
    words = ("train", "--toml", "config.toml", "--name", "run", *ASKING)
    result = encoded.run(*words)
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stderr.splitlines() if "warning: mlflow" in line]
    refused, lost = lines
    assert "connection refused; training goes on" in refused
    assert "numbers have not arrived there" in lost
    assert "Traceback" not in result.stderr
    log = (encoded.folder / "runs/run/train.log").read_text("utf-8")
    assert "connection refused" in log


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)]
)
def test_a_tracker_that_hangs_does_not_keep_a_signal_from_ending_the_run(
    encoded, number: int, code: int
) -> None:
    stand_in(encoded.folder, "time.sleep(10_000)")
    run = encoded.folder / "runs" / "run"

    def under_way() -> bool:
        rows = run / "steps.csv"
        return rows.is_file() and rows.read_bytes().count(b"\n") > 10

    words = ("train", "--toml", "config.toml", "--name", "run", *ASKING)
    long = ("--train.max_epochs", "1000")
    ended, errors = encoded.interrupted((*words, *long), under_way, number)
    assert ended == code, errors
    assert "have not arrived there, nor is how the run ended" in errors


@pytest.mark.slow
def test_tracked_and_untracked_runs_have_the_same_bits(encoded) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("tensorboard")
    words = ("train", "--toml", "config.toml", "--name")
    encoded.done(*words, "plain")
    both = ("--track.backends", '["csv", "mlflow", "tensorboard"]')
    encoded.done(*words, "told", *both, "--track.artifacts", "true")
    runs = encoded.folder / "runs"
    models = [runs / name / "model" / "model.safetensors" for name in ("plain", "told")]
    assert models[0].read_bytes() == models[1].read_bytes()
    assert list((runs / "told" / "tensorboard").iterdir())
    about = json.loads((runs / "told" / "tracking.json").read_text("utf-8"))
    kept = encoded.folder / "mlartifacts" / about["mlflow"]["run_id"] / "artifacts"
    copy = kept / "model" / "model.safetensors"
    assert copy.read_bytes() == models[1].read_bytes()
