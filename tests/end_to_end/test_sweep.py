"""A search with real trials: the best is made once more, kills change nothing."""

import signal
from pathlib import Path

import pytest
import tomli

SWEEP = (
    *("sweep", "--toml", "config.toml", "--sweep.n_trials", "2"),
    *("--train.learning_rate", "interval(1e-3, 1e-1, log=true)"),
    *("--train.batch_size", "choice(4, 8)"),
)
WEIGHTS = "model/model.safetensors"


def report(folder: Path) -> dict:
    return tomli.loads((folder / "sweep.toml").read_text("utf-8"))


@pytest.mark.slow
def test_the_best_is_made_once_more_and_a_kill_changes_no_bit(encoded) -> None:
    runs = encoded.folder / "runs"
    encoded.done(*SWEEP, "--name", "whole")
    best = report(runs / "whole")["best"]
    encoded.done("train", "--toml", "runs/whole/best.toml", "--name", "again")
    again = tomli.loads((runs / "again" / "summary.toml").read_text("utf-8"))
    assert again["outcome"]["best_test_loss"] == best["value"]
    weights = (runs / "again" / WEIGHTS).read_bytes()
    assert weights == (runs / best["run"] / WEIGHTS).read_bytes()

    def under_way() -> bool:
        return len(list(runs.glob("parts/trial-000/checkpoints/step-*"))) > 1

    words = (*SWEEP, "--name", "parts")
    encoded.interrupted(words, under_way, signal.SIGKILL)
    encoded.done(*words)
    trials = [report(runs / name)["trial"] for name in ("whole", "parts")]
    for one, other in zip(*trials, strict=True):
        assert one["parameters"] == other["parameters"]
        assert one["value"] == other["value"]
        weights = (runs / one["run"] / WEIGHTS).read_bytes()
        assert weights == (runs / other["run"] / WEIGHTS).read_bytes()
    result = encoded.run("resume", "--name", "parts/trial-001")
    assert result.returncode == 0, result.stderr
    assert "has ended" in result.stderr
