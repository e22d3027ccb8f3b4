"""A run that has lost some of its files is never taken for one that never was."""

import json
import shutil

import pytest
import torch

from slangmod.commands import choices
from slangmod.commands.replay import checkpoint_before
from slangmod.files import REPLACED
from slangmod.runs.directory import RunDir
from slangmod.training.checkpoint import list_checkpoints
from slangmod.training.manifest import MANIFEST, OWN, own_hash, text_of
from tests.reliability.workplace import Here, everything, spoilt

TRAIN = ("train", "--toml", "config.toml", "--name", "first")


@pytest.fixture
def bare(here: Here) -> Here:
    """A run whose checkpoints were removed to save space."""
    shutil.rmtree(here.folder / "runs" / "first" / "checkpoints")
    return here


def test_a_run_without_its_checkpoints_is_not_trained_over(bare: Here) -> None:
    line = bare.refused(*TRAIN)
    assert (
        "run 'first' has been trained already, and its checkpoints are gone: " in line
    )
    assert "--overwrite moves it aside" in line


@pytest.mark.parametrize("words", [(*TRAIN, "--continue"), ("resume",)])
def test_nor_does_it_begin_anew_where_it_is_to_go_on(bare: Here, words) -> None:
    run = bare.folder / "runs" / "first"
    before = {name: (run / name).read_bytes() for name in ("steps.csv", "summary.toml")}
    told = bare.run(*words)
    assert told.code == 1
    (line,) = told.errors
    assert "no usable checkpoint: there is none; bring the folder back" in line
    assert "or train with --overwrite" in line
    assert {name: (run / name).read_bytes() for name in before} == before


def test_overwriting_moves_it_aside_whole(bare: Here) -> None:
    run = bare.folder / "runs" / "first"
    names = ("config.toml", "steps.csv", "summary.toml", "model/model.safetensors")
    before = {name: (run / name).read_bytes() for name in names}
    told = bare.run(*TRAIN, "--overwrite", "--seed", "5")
    assert told.code == 0, told
    old = run.with_name("first.old-1")
    assert {name: (old / name).read_bytes() for name in names} == before
    assert len((run / "steps.csv").read_text().splitlines()) == 7


def test_without_the_model_and_the_summary_its_rows_tell(bare: Here) -> None:
    run = bare.folder / "runs" / "first"
    shutil.rmtree(run / "model")
    (run / "summary.toml").unlink()
    assert "has been trained already" in bare.refused(*TRAIN)


def test_a_start_that_failed_is_tried_again(bare: Here) -> None:
    run = bare.folder / "runs" / "first"
    for name in ("steps.csv", "epochs.csv"):
        header, *_ = (run / name).read_text().splitlines()
        (run / name).write_text(f"{header}\n")
    shutil.rmtree(run / "model")
    (run / "summary.toml").write_text('[outcome]\nreason = "failed"\nsteps = 0\n')
    told = bare.run(*TRAIN, "--continue")
    assert told.code == 0, told
    assert not run.with_name("first.old-1").exists()
    assert list_checkpoints(run / "checkpoints")


def test_a_refused_resume_leaves_a_bad_checkpoint_where_it_is(here: Here) -> None:
    newest, *_ = list_checkpoints(here.folder / "runs" / "first" / "checkpoints")
    spoilt(newest / "model.safetensors", lambda content: content[:-1])
    half = newest.parent / f".aside-{'0' * 32}-step-000000009"
    half.mkdir()
    config = here.folder / "runs" / "first" / "config.toml"
    text = config.read_text()
    config.write_text(text.replace("learning_rate = 0.001", "learning_rate = 0.002"))
    before = everything(here.folder / "runs" / "first" / "checkpoints")
    told = here.run("resume", "--train.max_steps", "8")
    assert told.code == 2
    assert "--allow-change train.learning_rate" in told.errors[0]
    assert everything(here.folder / "runs" / "first" / "checkpoints") == before
    config.write_text(text)
    assert here.run("resume", "--train.max_steps", "8").code == 0
    assert not half.exists()
    assert (newest.parent / f".bad-{newest.name}").is_dir()


@pytest.fixture
def halfway(here: Here) -> Here:
    """A run that was killed as its newest checkpoint gave way to one of its step."""
    newest, *_ = list_checkpoints(here.folder / "runs" / "first" / "checkpoints")
    newest.rename(newest.with_name(REPLACED + newest.name))
    half = newest.with_name(f".aside-{'0' * 32}-{newest.name}")
    half.mkdir()
    return here


@pytest.mark.parametrize("words", [(*TRAIN, "--continue"), ("resume",)])
def test_what_was_about_to_be_replaced_is_gone_on_from(halfway: Here, words) -> None:
    folder = halfway.folder / "runs" / "first" / "checkpoints"
    name = list_checkpoints(folder)[0].name.removeprefix(REPLACED)
    told = halfway.run(*words, "--train.max_steps", "8")
    assert told.code == 0, told
    assert f"run 'first' from {name} on" in told.rest
    assert {name, "step-000000008"} <= {path.name for path in folder.iterdir()}
    assert not list(folder.glob(".*"))


def test_who_only_looks_sees_what_was_about_to_be_replaced(halfway: Here) -> None:
    before = everything(halfway.folder)
    told = halfway.run("verify", "first")
    assert told.code == 0, told
    run = RunDir(halfway.folder / "runs" / "first")
    newest, *older = list_checkpoints(run.checkpoints)
    assert f"({1 + len(older)} checkpoints" in told.out
    assert checkpoint_before(run, 99) == newest
    assert everything(halfway.folder) == before


def test_a_run_on_another_torch_promises_no_bits(here: Here) -> None:
    newest, *_ = list_checkpoints(here.folder / "runs" / "first" / "checkpoints")
    content = json.loads((newest / MANIFEST).read_text("utf-8"))
    content["versions"]["torch"] = "1.0.\x1b[2J"
    content[OWN] = own_hash(content)
    (newest / MANIFEST).write_text(text_of(content), "utf-8")
    told = here.run("resume", "--train.max_steps", "8")
    assert told.code == 0
    (line,) = (line for line in told.rest.splitlines() if "run 'first' from" in line)
    assert "NOT bit-exact from here on: torch was 1.0." in line
    assert line.endswith(f" and is {torch.__version__}")
    assert "\x1b" not in told.rest
    again = here.run("resume", "--train.max_steps", "10")
    assert "; a resumed run ends with the same bits" in again.rest


def test_nor_does_it_on_another_processor(here: Here, monkeypatch) -> None:
    monkeypatch.setattr(choices, "cpu_name", lambda: "an abacus")
    told = here.run("resume", "--train.max_steps", "8")
    assert told.code == 0
    assert "NOT bit-exact from here on: processor was " in told.rest
    assert " and is an abacus" in told.rest
    assert "an abacus" not in here.run("resume", "--train.max_steps", "10").rest


def test_a_checkpoint_that_names_no_processor_is_taken_at_its_word(here: Here) -> None:
    newest, *_ = list_checkpoints(here.folder / "runs" / "first" / "checkpoints")
    cpu = torch.device("cpu")
    assert choices.moved_from(newest, {}, cpu) == ""
    (newest / MANIFEST).unlink()
    assert choices.moved_from(newest, {"processor": None}, cpu) == ""


def test_going_on_without_a_name_is_told_to_begin_anew(here: Here) -> None:
    words = ("train", "--toml", "config.toml", "--continue")
    told = here.run(*words)
    assert told.code == 0
    assert "warning: --continue without a name: a new run begins" in told.rest
    assert len(list((here.folder / "runs").iterdir())) == 2
    assert "without a name" not in here.run(*words, "--name", "second").rest


def test_lost_settings_are_written_anew_by_whoever_describes_the_run(
    here: Here,
) -> None:
    config = here.folder / "runs" / "first" / "config.toml"
    config.unlink()
    way_out = "`slangmod train --continue --name first --toml FILE`"
    for action in ("resume", "evaluate", "chat"):
        line = here.refused(action, "--name", "first")
        assert line.startswith("runs/first/config.toml: is gone; ")
        assert way_out in line
    assert "--continue goes on with it" in here.refused(*TRAIN)
    line = here.refused(*TRAIN, "--continue", "--train.learning_rate", "0.5")
    assert "train.learning_rate is now 0.5, the run has 0.001" in line
    told = here.run(*TRAIN, "--continue")
    assert told.code == 0
    assert "run 'first' has ended" in told.rest
    assert "learning_rate = 0.001" in config.read_text()
    config.unlink()
    assert here.run(*TRAIN, "--continue", "--train.max_steps", "8").code == 0
    assert "max_steps = 8" in config.read_text()
    assert here.run("resume", "--train.max_steps", "10").code == 0


def test_a_run_of_which_only_results_are_left_is_not_one_that_never_was(
    bare: Here,
) -> None:
    (bare.folder / "runs" / "first" / "config.toml").unlink()
    for words in (("resume", "--name", "first"), (*TRAIN, "--continue")):
        line = bare.refused(*words)
        assert "neither settings nor checkpoints are left of that run" in line
        assert "`slangmod train --overwrite` moves the rest aside" in line
    assert bare.run(*TRAIN, "--overwrite").code == 0
    assert (bare.folder / "runs" / "first.old-1" / "model").is_dir()
