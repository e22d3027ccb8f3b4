"""A staged run by the command line: its tables, its rates, resumes from anywhere."""

import csv
import json
import math
import shutil
import signal
import textwrap
from pathlib import Path

import pytest
import tomli
import torch
from safetensors.torch import load_file

from slangmod import load_settings
from slangmod.cli import main
from slangmod.commands import stepping
from slangmod.commands.at_hand import data_at_hand
from slangmod.data.dataset import dataset_of
from slangmod.data.shards import check_fresh
from slangmod.model import build_model
from slangmod.optim.optimizers import OPTIMIZERS
from slangmod.runs.curves import read_curves
from slangmod.runs.directory import RunDir
from slangmod.settings.course import rates_of
from slangmod.settings.sections import Settings
from slangmod.training.checkpoint import list_checkpoints, load_weights, step_of
from slangmod.training.evaluate import Evaluator
from slangmod.training.ledger import Ledger
from tests.cases import mostly_slow

STAGES = """\
base = "config.toml"

[train]
cb_freq = 2
scaling = "inverse"
warmup = 20

[checkpoint]
every = 1
keep = 1000

[[stage]]
name = "short"
epochs = 2
train.batch_size = 32

[[stage]]
name = "long"
steps = 5
schedule = "continue"
data.seq_len = 32
data.jitter = 7
train.batch_size = 16
train.step_freq = 3
train.learning_rate = 0.004
train.warmup = "20%"
train.cb_freq = 4
train.label_smoothing = 0.0
model.dropout = 0.3
optimizer.betas = [0.8, 0.95]

[[stage]]
epochs = 1
reset_optimizer = true
train.batch_size = 48
train.optimizer = "adam"
train.learning_rate = 0.02
train.scaling = "linear"
train.cooldown = 10
train.warmup = 2
train.eval_freq = 3
model.dropout = 0.0
"""
STEPS = 19
BORDERS = (10, 15)
"""Steps of the run, and those after which its stages end."""


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table without what depends on the clock."""
    with path.open(newline="", encoding="utf-8") as stream:
        content = list(csv.DictReader(stream))
    timed = {"seconds", "tokens_per_second"}
    return [{k: v for k, v in row.items() if k not in timed} for row in content]


def summary_of(run: Path) -> dict:
    content = tomli.loads((run / "summary.toml").read_text("utf-8"))
    return {key: content[key] for key in ("outcome", "validation", "stage")}


def newest(run: Path) -> Path:
    return list_checkpoints(run / "checkpoints")[0]


def state_of(run: Path) -> dict:
    state = json.loads((newest(run) / "state.json").read_text("utf-8"))
    state["counters"]["seconds"] = 0.0
    del state["about"], state["times"]
    return state


def assert_same_bits(one: Path, other: Path) -> None:
    """Tables, summary, best model, last weights and moments, counters."""
    for name in ("steps.csv", "epochs.csv"):
        assert rows(one / name) == rows(other / name)
    assert summary_of(one) == summary_of(other)
    model = "model/model.safetensors"
    assert (one / model).read_bytes() == (other / model).read_bytes()
    for name in ("model.safetensors", "optimizer.safetensors"):
        left, right = newest(one) / name, newest(other) / name
        assert left.read_bytes() == right.read_bytes()
    assert state_of(one) == state_of(other)


@pytest.fixture(scope="module")
def staged_once(encoded_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a staged run called whole that keeps a checkpoint of each step."""
    folder = tmp_path_factory.mktemp("staged") / "work"
    shutil.copytree(encoded_once, folder)
    (folder / "stages.toml").write_text(STAGES, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("os.fsync", lambda _: None)
        words = ["train", "--toml", "stages.toml", "--name", "whole"]
        assert main([*words, "--threads", "1"]) == 0
    return folder


@pytest.fixture
def staged(staged_once: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That run; its folder is the current one, and nothing waits for the disk."""
    monkeypatch.chdir(staged_once)
    monkeypatch.setattr("os.fsync", lambda _: None)
    return staged_once / "runs" / "whole"


def cut_off(run: Path, step: int) -> Path:
    """A copy of ``run`` called part, as a kill after checkpoint ``step`` leaves it."""
    part = run.with_name("part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(run, part)
    shutil.rmtree(part / "model")
    (part / "summary.toml").unlink()
    for path in list_checkpoints(part / "checkpoints"):
        if step_of(path) > step:
            shutil.rmtree(path)
    return part


def test_a_run_has_the_stages_it_was_given(staged) -> None:
    steps, epochs = rows(staged / "steps.csv"), rows(staged / "epochs.csv")
    assert list(steps[0])[-1] == list(epochs[0])[-1] == "stage"
    assert {row["stage"] for row in steps} == {"1", "2", "3"}
    ends = {row["stage"]: (int(row["step"]), int(row["epoch"])) for row in epochs}
    # The third epoch has 10 mini-batches, 4 steps; the fifth step is of the fourth.
    assert ends == {"1": (10, 2), "2": (15, 4), "3": (STEPS, 5)}
    lasts = {row["stage"]: int(row["step"]) for row in steps}
    assert lasts == {"1": 10, "2": 15, "3": STEPS}


def test_the_summary_tells_of_each_stage(staged) -> None:
    summary = summary_of(staged)
    first, second, third = summary["stage"]
    assert [one["name"] for one in summary["stage"]] == ["short", "long", "3"]
    assert [one["steps"] for one in summary["stage"]] == [10, 5, 4]
    assert [one["epochs"] for one in summary["stage"]] == [2, 2, 1]
    assert (second["first_step"], second["last_step"]) == (11, 15)
    total = first["tokens"] + second["tokens"] + third["tokens"]
    assert total == int(rows(staged / "steps.csv")[-1]["tokens"])
    losses = [one["best_test_loss"] for one in summary["stage"]]
    assert summary["outcome"]["best_test_loss"] == min(losses)
    assert summary["outcome"]["reason"] == "max_epochs"


def test_the_log_says_what_each_stage_changes(staged) -> None:
    log = (staged / "train.log").read_text("utf-8")
    assert "stage 1 'short' of 3: 2 epochs, batch_size 32" in log
    for text in ("stage 2 'long' of 3: 5 steps", "seq_len 32", "learning_rate 0.004"):
        assert text in log
    assert 'optimizer "adam"' in log
    assert "fresh moments" in log


def test_rates_follow_the_schedules_of_their_stages(staged) -> None:
    """Closed forms: the first stage warms up, the second goes on, the third is new."""
    used = {}
    before = 0
    for row in rows(staged / "steps.csv"):
        if row["learning_rate"] and int(row["step"]) != before:
            before = int(row["step"])
            used[before] = float(row["learning_rate"])
    expected = {step: 0.01 * (2 * step - 1) / 20 for step in range(1, 11)}
    # 20 mini-batches are done; 20 % of the planned 20 + 5 * 3 + 7 are warmup. Step 14
    # takes the one that is left of its epoch.
    for step, begin in ((11, 20), (12, 23), (13, 26), (14, 29), (15, 30)):
        expected[step] = 0.004 / math.sqrt(begin - round(0.2 * 42))
    for step, done in ((16, 0), (17, 2), (18, 4), (19, 6)):
        expected[step] = 0.02 * (1 / 2 if done == 0 else 1 - (done - 2) / 10)
    assert used == {step: pytest.approx(expected[step], rel=1e-12) for step in used}
    assert set(used) >= {1, 10, 11, 15, 16, STEPS}


def test_what_config_derives_are_the_rates_that_are_used(staged) -> None:
    settings = load_settings("stages.toml")
    planned = rates_of(settings, data_at_hand(settings))
    assert len(planned) == STEPS
    for row in rows(staged / "steps.csv"):
        if row["learning_rate"]:
            assert float(row["learning_rate"]) == planned[int(row["step"]) - 1]


def moments(run: Path, step: int) -> dict[str, torch.Tensor]:
    folder = run / "checkpoints" / f"step-{step:09d}"
    return load_file(folder / "optimizer.safetensors")


def test_moments_outlive_a_stage_unless_they_are_reset(staged) -> None:
    steps = {key for key in moments(staged, 1) if key.endswith("/step")}
    counts = [
        {moments(staged, step)[key].item() for key in steps} for step in (10, 11, 16)
    ]
    assert counts == [{10.0}, {11.0}, {1.0}]


def test_borders_are_drawn(staged) -> None:
    assert read_curves(RunDir(staged), "step").borders == BORDERS


@pytest.mark.parametrize("step", mostly_slow([10, 12, 15, 16], [12]))
def test_a_killed_run_ends_with_the_same_bits(staged, step: int) -> None:
    part = cut_off(staged, step)
    assert main(["resume", "--name", "part"]) == 0
    assert_same_bits(staged, part)


def test_a_checkpoint_that_is_broken_leads_back_into_the_stage_before(staged) -> None:
    part = cut_off(staged, 16)
    for path in list_checkpoints(part / "checkpoints")[:3]:
        (path / "model.safetensors").write_bytes(b"")
    assert main(["resume", "--name", "part"]) == 0
    assert "going back to step-000000013" in (part / "train.log").read_text("utf-8")
    assert_same_bits(staged, part)


@pytest.mark.slow
def test_every_step_can_be_the_last_before_a_kill(staged) -> None:
    for step in range(STEPS):
        part = cut_off(staged, step)
        assert main(["resume", "--name", "part"]) == 0
        assert_same_bits(staged, part)


def train_until(step: int, name: str, words: list[str]) -> int:
    """Train a run that gets a signal when ``step`` is done; -> exit code."""
    enter = Ledger.enter

    def stop(ledger: Ledger, *args) -> None:
        enter(ledger, *args)
        if ledger._state.counters.step == step:
            signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "enter", stop)
        return main(["train", *words, "--name", name])


SELDOM = ["--checkpoint.every", "none", "--checkpoint.keep", "2", "--threads", "1"]


@pytest.mark.parametrize("steps", mostly_slow([(10,), (4, 13, 16)], [(10,)]))
def test_a_signal_may_come_within_a_stage_or_between_two(
    staged, steps: tuple[int, ...]
) -> None:
    words = ["--toml", "stages.toml", *SELDOM, "--train.ema", "0.5"]
    if not (whole := staged.with_name("seldom")).exists():
        assert main(["train", *words, "--name", "seldom"]) == 0
    shutil.rmtree(staged.with_name("parts"), ignore_errors=True)
    for number, step in enumerate(steps):
        more = [*words, "--continue"] if number else words
        assert train_until(step, "parts", more) == 75
        known = tomli.loads((staged.with_name("parts") / "summary.toml").read_text())
        assert known["outcome"]["reason"] == "stopped"
        assert known["stage"][-1]["last_step"] == step
    assert main(["resume", "--name", "parts"]) == 0
    assert_same_bits(whole, staged.with_name("parts"))


def loss_of(run: Path, settings: Settings) -> float:
    """Of the last weights on the test split, its rows as outside of the stages."""
    encodings = check_fresh(settings)
    model = build_model(settings, encodings.manifest.vocab)
    load_weights(newest(run), model)
    data = dataset_of(encodings, settings, "test", training=False)
    score = Evaluator(torch.device("cpu"), settings.data.precision).loss(model, data)
    assert score is not None
    return score.mean


@pytest.mark.parametrize("most", mostly_slow([10, 13], [13]))
def test_max_steps_ends_the_run_in_any_stage_and_may_be_raised(
    staged, most: int
) -> None:
    words = ["train", "--toml", "stages.toml", *SELDOM]
    # "20%" of a training that is cut short is less: the rates would not be the same.
    words += ["--stage.2.train.warmup", "8"]
    name = f"cut-{most}"
    if not staged.with_name("uncut").exists():
        assert main([*words, "--name", "uncut"]) == 0
    assert main([*words, "--name", name, "--train.max_steps", str(most)]) == 0
    cut = staged.with_name(name)
    outcome = summary_of(cut)["outcome"]
    assert (outcome["reason"], outcome["steps"]) == ("max_steps", most)
    assert len(summary_of(cut)["stage"]) == (1 if most == 10 else 2)
    settings = load_settings(cut / "config.toml")
    planned = rates_of(settings, data_at_hand(settings))
    assert float(rows(cut / "steps.csv")[-1]["learning_rate"]) == planned[-1]
    assert len(planned) == most
    assert loss_of(cut, settings) == outcome["best_test_loss"]
    assert main(["resume", "--name", name, "--train.max_steps", "1000"]) == 0
    assert_same_bits(staged.with_name("uncut"), cut)


def test_a_run_that_has_done_all_its_stages_is_left_alone(staged, caplog) -> None:
    before = {path: path.stat().st_mtime_ns for path in staged.rglob("*.csv")}
    assert main(["resume", "--name", "whole"]) == 0
    assert "has ended (max_epochs" in caplog.text
    assert before == {path: path.stat().st_mtime_ns for path in staged.rglob("*.csv")}


def test_patience_that_runs_out_in_a_stage_ends_all_training(staged) -> None:
    words = ["--toml", "stages.toml", *SELDOM, "--train.patience", "2"]
    words += ["--stage.1.train.learning_rate", "1e-12", "--stage.1.epochs", "9"]
    words += ["--stage.1.model.dropout", "0", "--train.min_learning_rate", "1e-12"]
    assert main(["train", *words, "--name", "patient"]) == 0
    summary = summary_of(staged.with_name("patient"))
    assert summary["outcome"]["reason"] == "patience"
    assert [one["number"] for one in summary["stage"]] == [1]


def test_a_warmup_longer_than_its_stage_is_warned_of(staged, caplog) -> None:
    words = ["--toml", "stages.toml", *SELDOM, "--stage.3.train.warmup", "70"]
    assert main(["train", *words, "--name", "warm"]) == 0
    (warning,) = [one for one in caplog.messages if "longer than the planned" in one]
    assert warning.startswith("stage.3.train.warmup = 70 is longer than the planned 7")
    # Six mini-batches are done before the last of four steps, if each took two.
    assert "will reach 0.00171 of 0.02; --stage.3.train.warmup 1 would fit" in warning


def test_moments_that_do_not_fit_are_refused_and_nothing_is_written(
    staged, capsys
) -> None:
    words = ["--toml", "stages.toml", "--stage.3.reset_optimizer", "false"]
    assert main(["train", *words, "--name", "mixed"]) == 2
    assert "reset_optimizer = true" in capsys.readouterr().err
    assert not staged.with_name("mixed").exists()


@pytest.mark.slow
def test_compiled_stages_resume_in_a_new_process_with_the_same_bits(
    encoded, monkeypatch
) -> None:
    """The third stage is computed like the second, and not compiled again."""
    stages = "".join(
        f"[[stage]]\nsteps = 3\n{changes}\n"
        for changes in (
            "model.dropout = 0.1",
            "data.seq_len = 32\nmodel.dropout = 0.2\ntrain.label_smoothing = 0.0",
            "data.seq_len = 32\nmodel.dropout = 0.2\ntrain.label_smoothing = 0.0\n"
            "train.learning_rate = 0.001",
        )
    )
    text = 'base = "config.toml"\ncheckpoint.every = 1\ncheckpoint.keep = 100\n'
    (encoded.folder / "stages.toml").write_text(text + stages, "utf-8")
    monkeypatch.chdir(encoded.folder)
    monkeypatch.setattr(stepping, "PAYS_AFTER", 0.0)
    words = ["train", "--toml", "stages.toml", "--model.compile", "true"]
    assert main([*words, "--threads", "2", "--name", "whole"]) == 0
    whole = encoded.folder / "runs" / "whole"
    log = (whole / "train.log").read_text("utf-8")
    assert log.count("compiling the training step") == 2
    for step in (3, 7):
        part = cut_off(whole, step)
        encoded.done("resume", "--name", "part")
        assert_same_bits(whole, part)


def test_the_example_of_the_manual_runs(staged) -> None:
    page = (Path(__file__).parents[2] / "docs" / "stages.rst").read_text("utf-8")
    block = page.split(".. code-block:: toml\n")[1].split("\nA flag")[0]
    text = f'base = "config.toml"\n{textwrap.dedent(block)}'
    Path("manual.toml").write_text(text, "utf-8")
    small = ["--data.seq_len", "16", "--stage.1.data.seq_len", "8", *SELDOM]
    short = ["--stage.1.epochs", "1", "--stage.2.epochs", "1", "--stage.3.steps", "3"]
    words = ["train", "--toml", "manual.toml", "--name", "manual"]
    assert main([*words, *small, *short]) == 0
    run = staged.with_name("manual")
    stages = summary_of(run)["stage"]
    assert [one["name"] for one in stages] == ["short", "long", "cooldown"]
    assert summary_of(run)["outcome"]["reason"] == "stages"
    assert float(rows(run / "steps.csv")[-1]["learning_rate"]) == 5e-4 * (1 - 4 / 6)
    log = (run / "train.log").read_text("utf-8")
    assert "stage 2 'long' of 3: 1 epoch, seq_len 16, batch_size 64, " in log


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_any_optimizer_goes_on_from_a_border_and_beyond(staged, optimizer: str) -> None:
    """Other rates and batches; L-BFGS has pairs of its first stage in its second."""
    text = 'base = "config.toml"\ncheckpoint.every = 1\ncheckpoint.keep = 100\n'
    text += f'train.optimizer = "{optimizer}"\ntrain.learning_rate = 1e-3\n'
    text += "optimizer.bfgs_warmup = 1\n" if optimizer == "bfgs" else ""
    text += "[[stage]]\nsteps = 4\ntrain.batch_size = 64\n"
    text += "[[stage]]\nsteps = 4\ntrain.learning_rate = 5e-4\ntrain.warmup = 0\n"
    Path("optimizer.toml").write_text(text, "utf-8")
    words = ["train", "--toml", "optimizer.toml", "--threads", "1"]
    assert main([*words, "--name", optimizer]) == 0
    whole = staged.with_name(optimizer)
    for step in (4, 6):
        part = cut_off(whole, step)
        assert main(["resume", "--name", "part"]) == 0
        assert_same_bits(whole, part)
