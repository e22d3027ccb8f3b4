"""Signals stop a run with a checkpoint; what is resumed ends with the same bits."""

import csv
import signal
from pathlib import Path
from typing import Any

import pytest
import tomli

import slangmod
from slangmod import load_settings
from slangmod.cli import main
from slangmod.commands import measuring
from slangmod.errors import StoppedError
from slangmod.runs.directory import RunDir
from slangmod.runs.summary import read_summary
from slangmod.training.state import TrainState
from slangmod.training.trainer import Trainer

TRAIN = ("train", "--toml", "config.toml", "--train.max_epochs", "12")


def columns(path: Path) -> list[tuple[str, ...]]:
    """Rows without what depends on the clock."""
    timed = {"seconds", "tokens_per_second"}
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [tuple(v for k, v in row.items() if k not in timed) for row in rows]


def assert_same_outcome(one: Path, other: Path) -> None:
    model = "model/model.safetensors"
    assert (one / model).read_bytes() == (other / model).read_bytes()
    for name in ("steps.csv", "epochs.csv"):
        assert columns(one / name) == columns(other / name)
    outcomes = [
        tomli.loads((run / "summary.toml").read_text("utf-8")) for run in (one, other)
    ]
    assert outcomes[0]["outcome"] == outcomes[1]["outcome"]
    assert outcomes[0]["validation"] == outcomes[1]["validation"]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGTERM, 75, marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, 75, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_and_resume_ends_with_the_same_bits(
    twelve, number: int, code: int
) -> None:
    parts = twelve.folder / "runs" / "parts"

    def under_way() -> bool:
        rows = parts / "steps.csv"
        return rows.is_file() and rows.read_bytes().count(b"\n") > 10

    ended, errors = twelve.interrupted((*TRAIN, "--name", "parts"), under_way, number)
    assert ended == code, errors
    assert "resume" in errors
    summary = tomli.loads((parts / "summary.toml").read_text("utf-8"))
    assert summary["outcome"]["reason"] == "stopped"
    twelve.done("resume", "--name", "parts")
    assert_same_outcome(twelve.folder / "runs" / "whole", parts)


def test_a_second_ctrl_c_still_leaves_a_summary(encoded, monkeypatch) -> None:
    def breaks_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "fit", breaks_off)
    monkeypatch.chdir(encoded.folder)
    settings = load_settings("config.toml", {"name": "run", "progress": "false"})
    with pytest.raises(KeyboardInterrupt):
        slangmod.train(settings)
    outcome = read_summary(encoded.folder / "runs/run/summary.toml")["outcome"]
    assert outcome["reason"] == "stopped"
    assert "best_test_loss" not in outcome


@pytest.mark.slow
def test_a_run_at_work_is_in_use_whatever_is_asked(encoded) -> None:
    folder = RunDir.of(encoded.folder, "run")
    encoded.done(*TRAIN, "--name", "run", "--train.max_steps", "2")
    with folder.lock():
        for words in (TRAIN, (*TRAIN, "--overwrite"), ("resume",)):
            result = encoded.run(*words, "--name", "run")
            assert result.returncode == 3
            assert "in use by process" in result.stderr


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(twelve) -> None:
    parts = twelve.folder / "runs" / "parts"

    def under_way() -> bool:
        return len(list(parts.glob("checkpoints/step-*"))) > 1

    ended, _ = twelve.interrupted(
        (*TRAIN, "--name", "parts"), under_way, signal.SIGKILL
    )
    assert ended == -signal.SIGKILL
    twelve.done("resume", "--name", "parts")
    assert_same_outcome(twelve.folder / "runs" / "whole", parts)


def test_a_resumed_run_measures_memory_once_all_along(encoded, monkeypatch) -> None:
    taken = Trainer.take_step

    def breaking(self: Trainer, state: TrainState, *others: Any) -> None:
        if state.counters.step == 8:
            raise StoppedError("killed", 75)
        taken(self, state, *others)

    monkeypatch.setattr(measuring, "BETWEEN_ROWS", 0.0)
    monkeypatch.setattr(Trainer, "take_step", breaking)
    monkeypatch.chdir(encoded.folder)
    few = ("--name", "run", "--train.max_steps", "12")
    every = ("--train.eval_freq", "100", "--checkpoint.every", "3")
    assert main([*TRAIN, *few, *every]) == 75
    monkeypatch.setattr(Trainer, "take_step", taken)
    run = encoded.folder / "runs/run"
    before = columns(run / "memory.csv")
    assert [row[0] for row in before] == [*map(str, range(1, 9))]
    assert main(["resume", "--name", "run"]) == 0
    after = columns(run / "memory.csv")
    # The last step is evaluated, too.
    assert [row[0] for row in after] == [*map(str, range(1, 13)), "12"]
    assert after[:6] == before[:6]


@pytest.mark.slow
def test_a_signal_before_the_first_checkpoint_leaves_no_run(twelve) -> None:
    run = twelve.folder / "runs" / "early"

    def begun() -> bool:
        return (run / "run.lock").exists()

    ended, errors = twelve.interrupted(
        (*TRAIN, "--name", "early"), begun, signal.SIGTERM
    )
    if ended == 75:
        pytest.skip("the machine was too quick: there was a checkpoint already")
    assert ended == 128 + signal.SIGTERM, errors
    assert not run.exists()


@pytest.mark.slow
def test_a_run_that_ended_is_left_alone_and_goes_on_with_larger_limits(twelve) -> None:
    short = ("train", "--toml", "config.toml", "--train.max_epochs", "5")
    twelve.done(*short, "--name", "short")
    run = twelve.folder / "runs" / "short"
    before = {path: path.read_bytes() for path in run.glob("*.csv")}
    result = twelve.run("resume", "--name", "short")
    assert result.returncode == 0
    assert "max_epochs" in result.stderr
    assert {path: path.read_bytes() for path in before} == before
    (run / "summary.toml").write_text("no summary", "utf-8")
    twelve.done("resume", "--name", "short")
    assert read_summary(run / "summary.toml")["outcome"]["reason"] == "max_epochs"
    twelve.done("resume", "--name", "short", "--train.max_epochs", "12")
    assert_same_outcome(twelve.folder / "runs" / "whole", run)
    assert twelve.run("resume", "--name", "short").returncode == 0


@pytest.mark.slow
def test_resume_refuses_other_settings_and_lists_them(twelve) -> None:
    twelve.done(*TRAIN, "--name", "run", "--train.max_steps", "3")
    result = twelve.run(
        "resume", "--name", "run", "--train.learning_rate", "0.5", "--model.dim", "32"
    )
    assert result.returncode == 2
    assert "train.learning_rate" in result.stderr
    assert "model.dim" in result.stderr


@pytest.mark.slow
def test_continue_trains_or_resumes(twelve) -> None:
    twelve.done(*TRAIN, "--name", "run", "--continue", "--train.max_steps", "3")
    twelve.done(*TRAIN, "--name", "run", "--continue")
    assert_same_outcome(
        twelve.folder / "runs" / "whole", twelve.folder / "runs" / "run"
    )


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over(twelve) -> None:
    twelve.done(*TRAIN, "--name", "run", "--train.max_steps", "30")
    run = twelve.folder / "runs" / "run"
    newest = max(run.glob("checkpoints/step-*"))
    weights = newest / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    result = twelve.run("resume", "--name", "run", "--train.max_steps", "none")
    assert result.returncode == 0
    assert "differs from what was written" in result.stderr
    assert_same_outcome(twelve.folder / "runs" / "whole", run)


@pytest.mark.slow
def test_with_no_sound_checkpoint_nothing_is_started_afresh(twelve) -> None:
    twelve.done(*TRAIN, "--name", "run", "--train.max_steps", "3")
    for path in (twelve.folder / "runs/run/checkpoints").glob("*/state.json"):
        path.write_bytes(b"{}")
    result = twelve.run("resume", "--name", "run")
    assert result.returncode == 1
    assert "no usable checkpoint" in result.stderr


@pytest.mark.slow
def test_a_diverging_run_ends_with_exit_code_1(twelve) -> None:
    result = twelve.run(
        *TRAIN, "--name", "run", "--train.learning_rate", "1e30",
        "--train.clip_grad", "1e30", "--train.warmup", "0",
    )  # fmt: skip
    assert result.returncode == 1
    assert "not finite" in result.stderr
    assert "Traceback" not in result.stderr
    summary = tomli.loads((twelve.folder / "runs/run/summary.toml").read_text("utf-8"))
    assert summary["outcome"]["reason"] == "failed"
