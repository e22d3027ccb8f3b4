"""What begins anew where a run goes on with other text, or is judged otherwise."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from slangmod.cli import main
from slangmod.commands.changes import Change
from slangmod.commands.going_on import session_from
from slangmod.commands.rewinding import load_anew
from slangmod.data.shards import check_fresh
from slangmod.runs.directory import RunDir
from slangmod.runs.series import read_series
from slangmod.runs.summary import read_summary
from slangmod.settings import load_settings
from slangmod.training.checkpoint import list_checkpoints
from tests.cases import mostly_slow
from tests.reliability.small_work import make_work, train
from tests.reliability.tiny import write_raw

SOFTCAP = ("--model.logit_softcap", "0.5", "--allow-change", "model.logit_softcap")
DATA = ("--allow-change", "data")
ENCODE = ("clean", "encode", "--toml", "config.toml")


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("anew") / "work"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_work(folder)
    return folder


@pytest.fixture
def run(encoded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A name for a run, in a folder with encodings, which is the current one."""
    shutil.copytree(encoded, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return RunDir.of(".", "first")


def resume(*words: str) -> int:
    return main(["resume", "--name", "first", *words])


def rewrite(words: int) -> None:
    """Other text, of so many words to learn from and a third of it to test with."""
    write_raw(Path("raw"), words, words // 3)
    assert main(ENCODE) == 0


def outcome(run: RunDir) -> dict[str, Any]:
    return read_summary(run.summary)["outcome"]


def newest_state(run: RunDir) -> dict[str, Any]:
    newest = list_checkpoints(run.checkpoints)[0]
    return json.loads((newest / "state.json").read_text("utf-8"))


def rows(path: Path, *columns: str) -> list[tuple[float, ...]]:
    return [*read_series(path, columns).rows()]


def test_what_was_best_is_not_held_against_what_is_judged_otherwise(
    run, caplog
) -> None:
    assert train("first", "--train.patience", "2") == 0
    assert outcome(run)["best_step"] == 10
    kept = run.root.with_name("kept")
    shutil.copytree(run.checkpoints, kept)
    assert resume("--train.max_epochs", "4", *SOFTCAP) == 0
    assert (
        "from step 10 on, evaluations cannot be compared with those before "
        "(model.logit_softcap): patience and the search for the best model begin anew"
    ) in caplog.text
    tests = dict(rows(run.epochs, "step", "test_loss"))
    # The cap makes every loss larger, so that by the old one nothing could be better.
    assert min(tests[15.0], tests[20.0]) > tests[10.0]
    best = outcome(run)
    assert best["best_step"] in (15, 20)
    assert best["best_test_loss"] == tests[best["best_step"]]
    assert newest_state(run)["patience"]["since"] == 10
    assert newest_state(run)["patience"]["waited"] < 2
    steps, evaluations = run.steps.read_bytes(), tests
    # As if killed before the first checkpoint that knows of the change.
    shutil.rmtree(run.checkpoints)
    shutil.copytree(kept, run.checkpoints)
    run.summary.unlink()
    assert resume() == 0
    assert outcome(run) == best
    assert dict(rows(run.epochs, "step", "test_loss")) == evaluations
    columns = ("step", "loss", "learning_rate", "grad_norm")
    again = rows(run.steps, *columns)
    run.steps.write_bytes(steps)
    assert repr(again) == repr(rows(run.steps, *columns))


def test_patience_that_had_run_out_is_there_again(run) -> None:
    # With a rate of next to nothing no epoch is better than the first.
    still = ("--train.optimizer", "sgd", "--train.learning_rate", "1e-30")
    limits = ("--train.patience", "2", "--train.max_epochs", "9")
    assert train("first", *limits, *still) == 0
    ended = outcome(run)
    assert ended["reason"] == "patience"
    assert resume("--train.max_epochs", "9") == 0
    assert outcome(run) == ended
    assert resume(*SOFTCAP) == 0
    assert outcome(run)["reason"] == "patience"
    assert (ended["steps"], ended["best_step"]) == (15, 5)
    assert (outcome(run)["steps"], outcome(run)["best_step"]) == (30, 20)


def test_a_change_that_evaluations_do_not_mind_keeps_the_best(run, caplog) -> None:
    assert train("first") == 0
    words = ("--train.learning_rate", "9.0", "--train.clip_grad", "100.0")
    allow = ("--allow-change", "train.learning_rate", "--allow-change=train.clip_grad")
    assert resume("--train.max_epochs", "3", *words, *allow) == 0
    assert outcome(run)["best_step"] == 10
    assert "begin anew" not in caplog.text


def test_a_run_that_only_lacks_its_end_is_judged_anew(run) -> None:
    assert train("first") == 0
    run.summary.unlink()
    assert resume(*SOFTCAP) == 0
    assert outcome(run)["best_step"] == outcome(run)["steps"] == 10
    assert outcome(run)["best_test_loss"] == rows(run.epochs, "test_loss")[-1][0]


@pytest.mark.parametrize("words", mostly_slow([60, 450], [60]))
def test_the_epoch_under_way_ends_where_the_text_becomes_another(run, words) -> None:
    assert train("first", "--train.max_steps", "7") == 0
    before = rows(run.steps, "epoch", "batch", "loss")
    assert before[-1][:2] == (2, 14)
    rewrite(words)
    kept = run.root.with_name("kept")
    shutil.copytree(run.checkpoints, kept)
    limits = ("--train.max_steps", "none", "--train.max_epochs", "4")
    assert resume(*limits) == 2
    assert resume(*limits, *DATA) == 0
    after = rows(run.steps, "epoch", "batch", "loss")
    assert after[:14] == before
    counts = [sum(row[0] == epoch for row in after) for epoch in (1, 2, 3, 4)]
    assert counts[:2] == [10, 4]
    # Whole epochs of the other text, which jitter may shorten by one mini-batch.
    assert abs(counts[2] - counts[3]) <= 1
    assert (counts[2] > 10) == (words > 300)
    assert [row[1] for row in after] == [*range(1, len(after) + 1)]
    rates = rows(run.steps, "batch", "learning_rate")
    # The schedule goes on: of a warmup of 10, and of mini-batches done before a step.
    batch = rates[-1][0] - (2 if counts[3] % 2 == 0 else 1)
    assert rates[-1][1] == pytest.approx(0.01 * (batch - 10) ** -0.5)
    assert outcome(run)["reason"] == "max_epochs"
    assert outcome(run)["best_step"] >= 7
    shutil.rmtree(run.checkpoints)
    shutil.copytree(kept, run.checkpoints)
    run.summary.unlink()
    assert resume() == 0
    assert rows(run.steps, "epoch", "batch", "loss") == after
    assert resume("--train.max_epochs", "5") == 0
    assert rows(run.steps, "epoch")[-1] == (5,)


def test_all_epochs_are_done_whatever_text_they_were_of(run, caplog) -> None:
    assert train("first") == 0
    before = run.steps.read_bytes()
    rewrite(450)
    assert resume(*DATA) == 0
    assert "run 'first' has ended (max_epochs" in caplog.text
    assert run.steps.read_bytes() == before


def test_a_stage_keeps_its_end_and_its_schedule_with_other_text(run) -> None:
    text = Path("config.toml").read_text("utf-8").replace("max_epochs = 2\n", "")
    stages = "[[stage]]\nepochs = 1\n[[stage]]\nepochs = 3\n[[stage]]\nsteps = 4\n"
    Path("config.toml").write_text(text + stages, "utf-8")
    assert train("first", "--train.max_steps", "7") == 0
    rewrite(60)
    assert resume("--train.max_steps", "none", *DATA) == 0
    found = rows(run.steps, "stage", "epoch", "batch")
    assert {(stage, epoch) for stage, epoch, _ in found} == {
        *((1, 1), (2, 2), (2, 3), (2, 4), (3, 5)),
        *((3, epoch) for _, epoch, _ in found if epoch > 4),
    }
    rates = dict(rows(run.steps, "batch", "learning_rate"))
    last = max(batch for stage, _, batch in found if stage == 2)
    # One warmup for the stage, which began after 10 mini-batches; steps are of 2.
    assert rates[last] == pytest.approx(0.01 * (last - 2 - 10 + 1) / 10)
    steps = {step for stage, step in rows(run.steps, "stage", "step") if stage == 3}
    assert max(steps) - min(steps) <= 4
    assert outcome(run)["reason"] == "stages"


def test_going_back_from_a_spike_goes_back_to_no_other_inputs(run) -> None:
    assert train("first") == 0
    rewrite(450)
    settings = load_settings(run.config)
    encodings = check_fresh(settings)
    newest, older, *_ = list_checkpoints(run.checkpoints)
    changes = [Change(DATA[1], "", "")]
    session = session_from(newest, settings, encodings, torch.device("cpu"), changes)
    assert (session.train.first_batch, session.train.epochs_before) == (20, 2)
    session = load_anew(session, older)
    counters = session.state.counters
    assert 0 < counters.batch < 20
    assert session.train.first_batch == counters.text_batch == counters.batch
    assert session.train.epochs_before == counters.epoch
    patience = session.state.patience
    assert (patience.since, patience.best_step, patience.last_epoch) == (10, 0, 0)
