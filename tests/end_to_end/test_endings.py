"""What a run says of its end, and which weights it keeps."""

import csv
from pathlib import Path

import pytest
import tomli

import slangmod
from slangmod.cli import main
from slangmod.runs.directory import RunDir
from slangmod.runs.overview import progress_of


@pytest.fixture
def here(encoded, monkeypatch) -> Path:
    """The current folder, ready to train in."""
    monkeypatch.chdir(encoded.folder)
    return encoded.folder


def trained(name: str = "run", **changes: str) -> tuple[Path, dict[str, dict]]:
    """A run with ``changes`` to its [train], and its summary."""
    given = {f"train.{key}": value for key, value in changes.items()}
    common = {"name": name, "progress": "false", "train.eval_freq": "4"}
    run = slangmod.train(slangmod.load_settings("config.toml", {**common, **given}))
    return run.folder, run.summary


def done(*words: str) -> None:
    """Run the command line in this process; it must succeed."""
    assert main(words) == 0


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_summary_and_the_log_say_why_training_ended(here) -> None:
    patience = {"patience_steps": "7", "patience_increase": "1.0"}
    folder, summary = trained(**patience)
    # Evaluations every 4 mini-batches are every 2 steps.
    why = "no significantly better test loss since step 6: patience ended at step 7"
    outcome = summary["outcome"]
    assert (outcome["reason"], outcome["why"]) == ("patience_steps", why)
    assert outcome["steps"] == 7
    assert "best_weights" not in outcome
    assert f"because {why};" in (folder / "train.log").read_text("utf-8")


@pytest.mark.parametrize(("kind", "threshold"), [("gradient", 1e3), ("update", 1e3)])
def test_a_run_at_rest_has_converged(here, kind: str, threshold: float) -> None:
    _, summary = trained(convergence_threshold=str(threshold), convergence_norm=kind)
    outcome = summary["outcome"]
    assert (outcome["reason"], outcome["steps"]) == ("converged", 2)
    assert outcome["why"].startswith(f"{kind} norm ")


def test_patience_shorter_than_an_evaluation_is_told_at_the_start(here) -> None:
    early = {"patience_steps": "1", "patience_increase": "1.0", "eval_freq": "9"}
    folder, summary = trained("early", **early)
    assert summary["outcome"]["steps"] == 5
    told = "train.patience_steps = 1 ends before the first evaluation, after 9 mini-"
    assert told in (folder / "train.log").read_text("utf-8")
    folder, summary = trained("later", **early | {"patience_steps": "5"})
    assert summary["outcome"]["steps"] == 5
    assert "ends before" not in (folder / "train.log").read_text("utf-8")


def test_the_average_is_kept_where_it_is_better(here) -> None:
    rough = {"ema": "0.9", "learning_rate": "0.2", "warmup": "0", "max_steps": "6"}
    folder, summary = trained(**rough, scaling="constant")
    rows = rows_of(folder / "epochs.csv")
    assert list(rows[0])[-1] == "ema_test_loss"
    outcome = summary["outcome"]
    (best,) = (row for row in rows if int(row["step"]) == outcome["best_step"])
    losses = [float(best["test_loss"]), float(best["ema_test_loss"])]
    assert losses[1] < losses[0]
    assert outcome["best_test_loss"] == losses[1]
    assert outcome["best_weights"] == "average"
    run = slangmod.open_run(folder)
    assert run.evaluate("test").loss == losses[1]
    assert run.evaluate().loss == summary["validation"]["loss"]
    progress = progress_of(RunDir(folder))
    assert progress["best_test_loss"] == losses[1]
    assert progress["best_step"] == outcome["best_step"]


def test_the_weights_are_kept_where_their_average_lags_behind(here) -> None:
    folder, summary = trained(ema="0.999", max_epochs="1", warmup="0")
    assert summary["outcome"]["best_weights"] == "current"
    loss = slangmod.open_run(folder).evaluate("test").loss
    assert loss == summary["outcome"]["best_test_loss"]


def test_an_averaged_run_resumes_to_the_same_files(here) -> None:
    train = ("train", "--toml", "config.toml", "--train.ema", "0.9")
    done(*train, "--name", "whole", "--train.max_steps", "12")
    done(*train, "--name", "parts", "--train.max_steps", "7")
    done("resume", "--name", "parts", "--train.max_steps", "12")
    whole, parts = (here / "runs" / name for name in ("whole", "parts"))
    for name in ("model/model.safetensors", *(
        f"checkpoints/step-000000012/{file}.safetensors"
        for file in ("model", "average", "optimizer")
    )):  # fmt: skip
        assert (whole / name).read_bytes() == (parts / name).read_bytes()
    untimed = [
        [{**row, "seconds": ""} for row in rows_of(run / "epochs.csv")]
        for run in (whole, parts)
    ]
    assert untimed[0] == untimed[1]
    outcomes = [
        tomli.loads((run / "summary.toml").read_text("utf-8"))["outcome"]
        for run in (whole, parts)
    ]
    assert outcomes[0] == outcomes[1]


def test_a_run_whose_patience_ended_goes_on_with_more(here, capsys) -> None:
    train = ("train", "--toml", "config.toml", "--train.patience_increase", "1.0")
    for name, steps in (("whole", "11"), ("parts", "5")):
        done(*train, "--name", name, "--train.patience_steps", steps)
    done("resume", "--name", "parts")
    told = capsys.readouterr().err
    assert "has ended (patience_steps: no significantly better test loss" in told
    done("resume", "--name", "parts", "--train.patience_steps", "11")
    whole, parts = (
        tomli.loads((here / f"runs/{name}/summary.toml").read_text("utf-8"))
        for name in ("whole", "parts")
    )
    assert whole["outcome"] == parts["outcome"]
    assert whole["validation"] == parts["validation"]
