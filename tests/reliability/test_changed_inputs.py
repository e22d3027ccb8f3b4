"""A run goes on with the inputs it began with, or with those it was allowed."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from slangmod.cli import main
from slangmod.commands.changes import changes_of, leaves, read_changes
from slangmod.data.shards import check_fresh
from slangmod.errors import UserError
from slangmod.runs.directory import RunDir
from slangmod.runs.series import read_series
from slangmod.settings import load_settings
from slangmod.settings.changing import (
    FREELY,
    ON_REQUEST,
    WITHOUT_EFFECT,
    changes_by_name,
    ruled_by,
)
from slangmod.training.trainer import Trainer
from tests.cases import mostly_slow
from tests.reliability.bits import differences
from tests.reliability.small_work import make_work, train
from tests.reliability.tiny import write_raw

NEXT = {
    "train.learning_rate": "0.002",
    "train.min_learning_rate": "0.001",
    "train.max_learning_rate": "0.05",
    "train.warmup": "3",
    "train.scaling": "cosine",
    "train.power": "0.7",
    "train.gamma": "0.5",
    "train.cooldown": "50",
    "train.step_factor": "0.3",
    "train.step_every": "7",
    "train.poly_power": "2.0",
    "train.cycle_steps": "9",
    "train.cycle_gamma": "0.9",
    "train.decay": "0.4",
    "train.schedule_unit": "epoch",
    "train.step_freq": "3",
    "train.clip_grad": "0.1",
    "train.label_smoothing": "0.2",
    "train.z_loss": "0.001",
    "train.eval_freq": "6",
    "train.cb_freq": "3",
    "train.activation_checkpointing": "true",
    "optimizer.weight_decay": "0.2",
    "optimizer.betas": "[0.8, 0.9]",
    "optimizer.eps": "1e-6",
    "data.shuffle": "false",
    "data.precision": "bfloat16",
    "data.device": "cpu",
    "model.dropout": "0.3",
    "model.logit_softcap": "20.0",
    "threads": "2",
    "deterministic": "true",
}
"""What each of these settings may become in a run of adamw."""

GROUPS = """
[[optimizer.group]]
match = "layers.*"
learning_rate = 0.005
betas = [0.8, 0.9]
"""
STAGES = """
[[stage]]
epochs = 1
[[stage]]
epochs = 1
name = "second"
[[stage]]
steps = 5
"""
BEGUN_OTHERWISE = {
    "model.compile": ("compile = false", "compile = true", "false"),
    "model.scale_grad_by_freq": ("step_freq = 2", "step_freq = 1", "true"),
    "optimizer.rho": ("[train]", '[train]\noptimizer = "rmsprop"', "0.8"),
    "optimizer.bfgs_warmup": ("[train]", '[train]\noptimizer = "bfgs"', "2"),
    "optimizer.group.1.match": ("", GROUPS, "*norm*"),
    "optimizer.group.1.learning_rate": ("", GROUPS, "0.002"),
    "optimizer.group.1.weight_decay": ("", GROUPS, "0.5"),
    "optimizer.group.1.betas": ("", GROUPS, "[0.7, 0.9]"),
    "optimizer.group.1.eps": ("", GROUPS, "1e-6"),
    "optimizer.group.1.rho": (
        "[train]",
        f'{GROUPS.replace("betas = [0.8, 0.9]", "")}[train]\noptimizer = "rmsprop"',
        "0.8",
    ),
    "stage.3.name": ("", STAGES, "third"),
    "stage.2.epochs": ("", STAGES, "2"),
    "stage.3.steps": ("", STAGES, "7"),
    "stage.3.reset_optimizer": ("", STAGES, "true"),
    "stage.3.schedule": ("", STAGES, "continue"),
    "stage.3.train.learning_rate": ("", STAGES, "0.002"),
}
"""What others may become, in runs whose settings have something else in them."""


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run called first, made once, which has ended."""
    folder = tmp_path_factory.mktemp("begun") / "work"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_work(folder)
        assert train("first") == 0
    return folder


@pytest.fixture
def work(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the current folder."""
    shutil.copytree(begun, tmp_path / "work")
    config = tmp_path / "work" / "runs" / "first" / "config.toml"
    config.write_text(config.read_text().replace(str(begun), str(tmp_path / "work")))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def other(value: Any) -> Any:
    return "something else" if value != "something else" else None


def with_other(content: dict[str, Any], key: str) -> dict[str, Any]:
    """``content`` with another value at the dotted ``key``."""
    changed = json.loads(json.dumps(content))
    *tables, last = key.split(".")
    table = changed
    for name in tables:
        table = table[int(name) - 1] if isinstance(table, list) else table[name]
    table[last] = other(table.get(last))
    return changed


def resume(*words: str) -> int:
    return main(["resume", "--name", "first", *words])


def test_each_setting_is_refused_permitted_or_free(work, promise) -> None:
    tables = {"optimizer.group": [{"match": "layers.*"}], "model.layer": [{}]}
    settings = load_settings("runs/first/config.toml", tables)
    encodings, run = check_fresh(settings), RunDir.of(".", "first")
    content = settings.model_dump(mode="json")
    about = {
        "tokenizer_sha256": encodings.manifest.tokenizer_sha256,
        "data_sha256": encodings.fingerprint(),
    }
    assert changes_of(run, {**about, "settings": content}, settings, encodings) == []
    trials = 0
    for key in [*leaves(content), "extra.note"]:
        how = changes_by_name()[ruled_by(tuple(key.split(".")))]
        then = {**about, "settings": with_other(content, key)}
        if how in (FREELY, WITHOUT_EFFECT):
            assert changes_of(run, then, settings, encodings) == []
            continue
        with pytest.raises(UserError) as caught:
            changes_of(run, then, settings, encodings)
        (problem,) = caught.value.problems
        assert f" {key} is now " in problem
        assert (f"--allow-change {key} goes on" in problem) == (how == ON_REQUEST)
        if how == ON_REQUEST:
            (change,) = changes_of(run, then, settings, encodings, [key])
            assert change.key == key
        else:
            assert how in problem
            with pytest.raises(UserError, match=r"train another run"):
                changes_of(run, then, settings, encodings, [key])
        trials += 1
    assert trials > 60
    promise("R13", trials)


def test_a_permitted_change_is_the_runs_own_from_then_on(work, capsys, promise) -> None:
    flag = ("--train.learning_rate", "0.002")
    further = ("--train.max_epochs", "3")
    assert resume(*flag, *further) == 2
    said = capsys.readouterr().err
    assert "--allow-change train.learning_rate goes on with it" in said
    run = RunDir.of(".", "first")
    rows = read_series(run.steps, ("batch", "learning_rate"))
    done, kept = len(rows), work / "kept"
    shutil.copytree(run.checkpoints, kept)
    assert resume(*flag, *further, "--allow-change", "train.learning_rate") == 0
    said = capsys.readouterr().err
    assert "train.learning_rate is 0.002; it was 0.01 (--allow-change)" in said
    assert "--train.learning_rate, was 0.01 in" in run.config.read_text()
    after = read_series(run.steps, ("batch", "learning_rate"))
    assert len(after) > done
    # After a warmup of 10: the rate of the last step, which began with mini-batch 29.
    assert after["learning_rate"][-1] == pytest.approx(0.002 * (28 - 10) ** -0.5)
    steps = run.steps.read_bytes()
    # As if killed before the first checkpoint that knows of the change.
    shutil.rmtree(run.checkpoints)
    shutil.copytree(kept, run.checkpoints)
    run.summary.unlink()
    assert resume() == 0
    assert read_changes(run)["train.learning_rate"].now == 0.002
    columns = ("step", "loss", "learning_rate", "grad_norm")
    again = read_series(run.steps, columns)
    run.steps.write_bytes(steps)
    assert repr([*again.rows()]) == repr([*read_series(run.steps, columns).rows()])
    promise("R13", 3)


def test_what_is_permitted_once_a_run_has_ended_is_written_down_at_once(
    work, capsys, promise
) -> None:
    run = RunDir.of(".", "first")
    rows = run.steps.read_bytes()
    summary = run.summary.read_bytes()
    flag = ("--train.learning_rate", "0.002", "--allow-change", "train.learning_rate")
    assert resume(*flag) == 0
    line = "train.learning_rate is 0.002; it was 0.01 (--allow-change)"
    said = capsys.readouterr().err
    assert line in said
    assert "has ended" in said
    assert run.log.read_text("utf-8").count(line) == 1
    assert read_changes(run)["train.learning_rate"].now == 0.002
    assert "--train.learning_rate, was 0.01 in" in run.config.read_text("utf-8")
    assert (run.steps.read_bytes(), run.summary.read_bytes()) == (rows, summary)
    kept = (run.changes.read_bytes(), run.log.read_bytes(), run.config.read_bytes())
    assert resume(*flag) == 0
    again = (run.changes.read_bytes(), run.log.read_bytes(), run.config.read_bytes())
    assert again == kept
    assert resume("--train.max_epochs", "3") == 0
    after = read_series(run.steps, ("batch", "learning_rate"))
    assert after["learning_rate"][-1] == pytest.approx(0.002 * (28 - 10) ** -0.5)
    promise("R13", 2)


def test_a_file_of_some_settings_says_nothing_of_the_others(work, capsys) -> None:
    text = (work / "config.toml").read_text("utf-8")
    text = text.replace("[train]", '[train]\noptimizer = "momentum"')
    (work / "config.toml").write_text(text + "[optimizer]\nmomentum = 0.5\n", "utf-8")
    shutil.rmtree("runs")
    assert train("first") == 0
    part = work / "part.toml"
    # Neither goes together with what is default, though with what the run has.
    part.write_text("[train]\nmax_epochs = 3\n[optimizer]\nmomentum = 0.5\n", "utf-8")
    assert resume("--toml", "part.toml") == 0
    part.write_text("[model]\nn_heads = 2\ndim = 16\n", "utf-8")
    assert resume("--toml", "part.toml", "--train.max_epochs", "4") == 0
    assert value_of("train.max_epochs") == 4
    assert value_of("train.optimizer") == "momentum"
    capsys.readouterr()
    part.write_text("[model]\ndim = 20\n[optimizer]\nmomentum = 0.7\n", "utf-8")
    assert resume("--toml", "part.toml") == 2
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(": the run has ")[0] for line in said] == [
        "slangmod: error: part.toml:2: model.dim = 20",
        "slangmod: error: part.toml:4: optimizer.momentum = 0.7",
    ]
    part.write_text("[train]\nlearning_rate = 0.1\nmin_learning_rate = 0.2\n", "utf-8")
    assert resume("--toml", "part.toml") == 2
    assert "must be at most train.learning_rate" in capsys.readouterr().err


def test_a_stage_that_came_by_hand_is_permitted_all_at_once(work, capsys) -> None:
    begin_otherwise(work, "", STAGES)
    run = RunDir.of(".", "first")
    config = run.config.read_text("utf-8")
    added = '[[stage]]\nname = "last"\nsteps = 2\ntrain.gamma = 0.5\n'
    run.config.write_text(config + added, "utf-8")
    capsys.readouterr()
    assert resume("--train.max_steps", "13") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "config.toml: [[stage]] 4: the run has none; --allow-change stage.4 " in said
    further = ("--train.max_steps", "13", "--allow-change", "stage.4")
    assert resume(*further) == 0
    assert "stage.4.train.gamma" in read_changes(run)
    assert resume("--train.max_steps", "15") == 0
    longer = config + added + "data.seq_len = 8\n"
    run.config.write_text(longer, "utf-8")
    capsys.readouterr()
    assert resume("--train.max_steps", "17", "--allow-change", "stage.4") == 2
    assert "stage.4.data.seq_len is now 8" in capsys.readouterr().err


def stop_after(step: int, patch: pytest.MonkeyPatch) -> None:
    taken = Trainer.take_step

    def take_step(self: Trainer, state: Any, *others: Any) -> None:
        taken(self, state, *others)
        if state.counters.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    patch.setattr(Trainer, "take_step", take_step)


@pytest.mark.parametrize(
    "again", mostly_slow([("train", "--continue"), ("resume",)], [("resume",)])
)
def test_a_run_in_stages_goes_on_with_the_words_that_began_it(
    work, monkeypatch, promise, again
) -> None:
    """The epochs that its file's base asks for give way to the stages, each time."""
    stages = "[[stage]]\nsteps = 5\n[[stage]]\nsteps = 5\ntrain.gamma = 0.5\n"
    (work / "stages.toml").write_text(f'base = "config.toml"\n{stages}', "utf-8")
    command, *flags = again
    words = ("--toml", "stages.toml", "--name")
    assert main(["train", *words, "whole"]) == 0
    assert main([command, *words, "whole", *flags]) == 0  # it has ended
    with monkeypatch.context() as patch:
        stop_after(8, patch)
        assert main(["train", *words, "stopped"]) == 75
    assert main([command, *words, "stopped", *flags]) == 0
    runs = work / "runs"
    unequal = differences(runs / "whole", runs / "stopped", stopped=True)
    # Which remembers folders, whose names are absolute where a run went on.
    assert unequal == ["checkpoints/step-000000010/state.json"]
    # A stage more, in the run's own settings and in the file.
    added = "[[stage]]\nsteps = 3\ntrain.gamma = 0.4\n"
    for file in (runs / "stopped" / "config.toml", work / "stages.toml"):
        file.write_text(file.read_text("utf-8") + added, "utf-8")
    assert main([command, *words, "stopped", *flags]) == 2
    allow = ("--allow-change", "stage.3")
    assert main([command, *words, "stopped", *flags, *allow]) == 0
    assert read_series(runs / "stopped" / "steps.csv", ("step",))["step"][-1] == 13
    promise("R13", 4)


def test_other_data_need_permission_and_another_tokenizer_has_none(
    work, capsys, promise
) -> None:
    write_raw(work / "raw", 450, 45, 30)
    assert main(["clean", "encode", "--toml", "config.toml"]) == 0
    further = ("--train.max_epochs", "3")
    assert resume(*further) == 2
    assert "--allow-change data goes on with them" in capsys.readouterr().err
    assert resume(*further, "--allow-change", "data") == 0
    assert resume("--train.max_epochs", "4") == 0
    tokenizer = next(work.glob("tokenizer-*.json"))
    tokenizer.write_text(tokenizer.read_text() + "\n")
    assert main(["encode", "--toml", "config.toml"]) == 0
    capsys.readouterr()
    assert resume("--train.max_epochs", "5", "--allow-change", "data") == 2
    assert "the tokenizer is not the one" in capsys.readouterr().err
    promise("R13", 4)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--allow-change", "model.dim"), "it says what weights are for"),
        (("--allow-change", "train.batch_size"), "place in its data"),
        (("--allow-change", "train.optimizer"), "would not fit"),
        (("--allow-change", "tokens.vocab"), "what token ids mean"),
        (("--allow-change", "train.learning_rat"), "'train.learning_rate'"),
        (("--allow-change", "\x1b[2J"), "unknown setting"),
    ],
)
def test_what_cannot_be_permitted_is_told_at_once(work, capsys, words, reason) -> None:
    assert resume(*words) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert "\x1b" not in said
    assert said.count("\n") == 1


def test_continuing_permits_several_and_a_new_run_none(work, capsys) -> None:
    words = ("--train.gamma", "0.5", "--train.z_loss", "0.001")
    allow = ("--allow-change", "train.gamma", "--allow-change=train.z_loss")
    more = ("--train.max_epochs", "3", *words)
    assert train("first", "--continue", *more) == 2
    assert capsys.readouterr().err.count("goes on with it") == 2
    assert train("first", "--continue", *more, *allow) == 0
    assert {*read_changes(RunDir.of(".", "first"))} == {"train.gamma", "train.z_loss"}
    assert train("second", *allow) == 2
    assert "add --continue" in capsys.readouterr().err
    assert not RunDir.of(".", "second").root.exists()


@pytest.mark.parametrize("content", ["", "[]", '{"changes": [{}]}', "[" * 10**5])
def test_a_broken_record_of_changes_is_told(work, capsys, content) -> None:
    RunDir.of(".", "first").changes.write_text(content)
    assert resume("--train.max_epochs", "3") == 2
    said = capsys.readouterr().err
    assert "changes.json: cannot be read" in said
    assert said.count("\n") == 1


def begin_otherwise(work: Path, old: str, new: str) -> None:
    """Train a run called first whose settings have ``new`` for ``old``."""
    shutil.rmtree("runs")
    text = (work / "config.toml").read_text("utf-8")
    text = text.replace(old, new) if old else text + new
    if "[[stage]]" in text:
        text = text.replace("max_epochs = 2\n", "")
    (work / "otherwise.toml").write_text(text, "utf-8")
    words = ("train", "--toml", "otherwise.toml", "--name", "first")
    assert main([*words, "--train.max_steps", "9"]) == 0


def value_of(key: str) -> Any:
    settings = load_settings("runs/first/config.toml")
    return leaves(settings.model_dump(mode="json"))[key]


def test_every_setting_that_may_be_permitted_is_tried() -> None:
    tried = {ruled_by(tuple(key.split("."))) for key in (*NEXT, *BEGUN_OTHERWISE)}
    on_request = {key for key, how in changes_by_name().items() if how == ON_REQUEST}
    assert tried == on_request - {"optimizer.group"}  # which is tried below


@pytest.mark.parametrize("key", mostly_slow(BEGUN_OTHERWISE, ("stage.2.epochs",)))
def test_a_flag_for_what_only_some_runs_have_is_permitted_as_it_says(
    work, capsys, key
) -> None:
    old, new, value = BEGUN_OTHERWISE[key]
    begin_otherwise(work, old, new)
    further = ("--train.max_steps", "13", "--train.max_epochs", "3")
    further = further[: 2 if "[[stage]]" in new else 4]
    capsys.readouterr()
    assert resume(f"--{key}", value, *further) == 2
    said = capsys.readouterr().err
    assert f"; --allow-change {key} goes on with it" in said
    assert said.count("\n") == 1
    assert resume(f"--{key}", value, *further, "--allow-change", key) == 0
    assert resume("--train.max_steps", "15") == 0
    assert str(value_of(key)).lower() in (value, "1e-06")


def test_groups_of_weights_come_and_go_by_permission(work, capsys) -> None:
    text = (work / "config.toml").read_text("utf-8")
    groups = f'{GROUPS}\n[[optimizer.group]]\nmatch = "*norm*"\n'
    (work / "groups.toml").write_text(text + groups, "utf-8")
    (work / "group.toml").write_text(text + GROUPS, "utf-8")
    for number, name in enumerate(("groups", "group", "config"), start=3):
        words = ("train", "--continue", "--toml", f"{name}.toml", "--name", "first")
        further = ("--train.max_epochs", str(number))
        assert main([*words, *further]) == 2
        said = capsys.readouterr().err
        assert "--allow-change optimizer.group goes on with it" in said
        assert said.count("\n") == 1
        assert main([*words, *further, "--allow-change", "optimizer.group"]) == 0
        assert main([*words, *further]) == 0
        config = RunDir.of(".", "first").config.read_text("utf-8")
        assert config.count("[[optimizer.group]]") == (2, 1, 0)[number - 3]
        capsys.readouterr()


def test_what_no_run_may_change_stays_so_in_a_group_that_comes(work, capsys) -> None:
    text = (work / "config.toml").read_text("utf-8")
    text = text.replace("[train]", '[train]\noptimizer = "momentum"')
    (work / "config.toml").write_text(text, "utf-8")
    shutil.rmtree("runs")
    assert train("first") == 0
    group = '[[optimizer.group]]\nmatch = "layers.*"\nmomentum = 0.5\n'
    (work / "config.toml").write_text(text + group, "utf-8")
    words = ("--train.max_epochs", "3", "--allow-change", "optimizer.group")
    capsys.readouterr()
    assert train("first", "--continue", *words) == 2
    said = capsys.readouterr().err
    assert "optimizer.group.1.momentum is now 0.5" in said
    assert "what the optimizer remembers would not fit" in said


@pytest.mark.slow
def test_a_run_goes_on_with_each_setting_that_may_be_permitted(
    begun, work, promise
) -> None:
    for key, value in NEXT.items():
        shutil.rmtree("runs")
        shutil.copytree(begun / "runs", "runs")
        words = (f"--{key}", value, "--allow-change", key, "--train.max_epochs", "3")
        assert resume(*words) == 0, key
        assert resume("--train.max_epochs", "4") == 0, key
        assert str(value_of(key)) in (
            value,
            value.capitalize(),
            str(float(value)) if value[0].isdigit() else value,
        )
    promise("R13", len(NEXT))
