"""The matrix of bad inputs: runs, their checkpoints, settings and models.

A row of the matrix is a test, its cases are the parameters.
"""

# One line per case, however long: a table reads as one.
# ruff: noqa: E501

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from slangmod.runs.directory import RunDir
from slangmod.runs.pages import plotly_script
from slangmod.training.checkpoint import list_checkpoints
from slangmod.training.manifest import FORMAT, MANIFEST, OWN, own_hash, text_of
from tests.cases import mostly_slow
from tests.reliability.test_safe_output import RAW
from tests.reliability.workplace import Here, everything, spoilt

TRAIN = ("train", "--toml", "config.toml", "--name", "new")
RESUME = ("resume", "--name", "first", "--train.max_steps", "8")


def checkpoints(here: Here) -> list[Path]:
    """Those of the run called first, the newest first."""
    return list_checkpoints(here.folder / "runs" / "first" / "checkpoints")


def halved(path: Path) -> None:
    spoilt(path, lambda content: content[: len(content) // 2])


def newer(path: Path) -> None:
    """Make a manifest as a later version may write it."""
    content = json.loads((path / MANIFEST).read_text("utf-8"))
    content["format"] = FORMAT + 1
    content[OWN] = own_hash(content)
    (path / MANIFEST).write_text(text_of(content), "utf-8")


def test_a_run_that_is_there_is_not_trained_over(here: Here, promise) -> None:
    line = here.refused("train", "--toml", "config.toml", "--name", "first")
    assert "has checkpoints already: `slangmod resume --name first` goes on" in line
    promise("Matrix", 1)


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "none": shutil.rmtree,
    "empty": lambda path: (shutil.rmtree(path), path.mkdir()),
    "no manifest": lambda path: (path / "manifest.json").unlink(),
    "cut weights": lambda path: halved(path / "model.safetensors"),
    "cut moments": lambda path: halved(path / "optimizer.safetensors"),
    "cut state": lambda path: halved(path / "state.json"),
    "cut manifest": lambda path: halved(path / "manifest.json"),
    "foreign manifest": lambda path: (path / "manifest.json").write_text("[]"),
}


@pytest.mark.parametrize("fault", UNUSABLE)
def test_without_a_usable_checkpoint_nothing_begins_anew(
    here: Here, promise, fault: str
) -> None:
    tried = checkpoints(here)
    for path in tried:
        UNUSABLE[fault](path)
    told = here.run(*RESUME)
    assert told.code == 1
    (line,) = told.errors
    assert line.startswith("runs/first/checkpoints: no usable checkpoint: ")
    assert fault == "none" or all(path.name in line for path in tried)
    assert (fault == "none") == ("there is none" in line)
    promise("R7", 1)


@pytest.mark.parametrize(
    "fault",
    mostly_slow([one for one in UNUSABLE if one != "none"], ["cut weights", "empty"]),
)
def test_a_bad_newest_checkpoint_is_told_and_the_one_before_it_taken(
    here: Here, promise, fault: str
) -> None:
    newest, before, *_ = checkpoints(here)
    UNUSABLE[fault](newest)
    told = here.run(*RESUME)
    assert (told.code, told.errors) == (0, [])
    assert f"going back to {before.name}" in told.rest
    assert f"run 'first' from {before.name} on" in told.rest
    promise("R7", 1)


def test_a_checkpoint_of_a_newer_version_is_left_to_that(here: Here, promise) -> None:
    for path in checkpoints(here):
        newer(path)
    line = here.refused(*RESUME)
    assert "checkpoints/step-000000006: was written by slangmod " in line
    assert line.endswith("use the newer one")
    promise("Matrix", 1)


CHANGED = [
    ("dim = 16", "dim = 32", "model.dim is now 32, the run has 16"),
    ("seq_len = 16", "seq_len = 8", "data.seq_len is now 8, the run has 16"),
    ("seed = 100", "seed = 101", "seed is now 101, the run has 100"),
    ('optimizer = "adamw"', 'optimizer = "adam"', "train.optimizer is now"),
]


@pytest.mark.parametrize(("old", "new", "reason"), CHANGED)
def test_settings_changed_in_the_run_are_named(
    here: Here, promise, old: str, new: str, reason: str
) -> None:
    config = here.folder / "runs" / "first" / "config.toml"
    text = config.read_text("utf-8")
    assert old in text
    config.write_text(text.replace(old, new, 1), "utf-8")
    assert reason in here.refused(*RESUME)
    promise("R13", 1)


def test_changed_data_are_told(here: Here, promise) -> None:
    (here.folder / "raw" / "train.txt").write_text("other text\n" * 99, "utf-8")
    assert here.run("clean", "encode", "--toml", "config.toml").code == 0
    assert "the encodings are not those that the run began with" in here.refused(
        *RESUME
    )
    promise("R13", 1)


RUNS = [
    (("resume", "--name", "frist"), "there is no such run; did you mean 'first'?"),
    (("generate", "--name", "other"), "there is no such run; the runs are first"),
    (("compare", "first", "other"), "other: no such run in runs; runs: first"),
    (("train", "--toml", "config.toml", "--train.init_from", "nowhere"),
     "nowhere: is neither a run nor the folder of a model"),
    (("resume", "--workdir", "nowhere"), "there is no run yet; `slangmod train`"),
    (("train", "--toml", "a.toml", "--toml", "a.toml"), "--toml: was given more than once"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "reason"), RUNS)
def test_what_is_not_there_is_named(here: Here, promise, words, reason) -> None:
    (here.folder / "a.toml").write_text("", "utf-8")
    assert reason in here.refused(*words)
    promise("Matrix", 1)


MODEL = ["config.json", "model.safetensors", "tokenizer.json"]


@pytest.mark.parametrize("name", MODEL)
@pytest.mark.parametrize("fault", ["missing", "empty", "cut", "folder", "zeros"])
def test_a_broken_model_is_named(here: Here, promise, name: str, fault: str) -> None:
    path = here.folder / "runs" / "first" / "model" / name
    if fault == "cut":
        halved(path)
    else:
        path.unlink()
        content = {"empty": b"", "zeros": bytes(999)}
        if fault in content:
            path.write_bytes(content[fault])
        elif fault == "folder":
            path.mkdir()
    for action in ("generate", "evaluate"):
        line = here.refused(action, "--name", "first")
        assert line.startswith(f"runs/first/model/{name}: ")
    promise("Matrix", 2)


SPOILT = [b"", bytes(99), b"{" * 99, b"a,b\n\x1b[2J,\xff\n"]
LOOKING = (
    *(("compare",), ("compare", "--json"), ("compare", "--format", "csv")),
    *(("compare", "--format", "html"), ("compare", "--gnuplot")),
    *(("summarize",), ("monitor",), ("report",)),
)


@pytest.mark.parametrize(
    "name", ["config.toml", "summary.toml", "steps.csv", "epochs.csv"]
)
@pytest.mark.parametrize("content", SPOILT)
def test_who_only_looks_at_a_broken_run_sees_what_is_left(
    here: Here, promise, name: str, content: bytes
) -> None:
    run = here.folder / "runs" / "first"
    run.joinpath(name).write_bytes(content)
    before = everything(here.folder)
    for words in LOOKING:
        told = here.run(*words)
        assert (told.code, told.errors) == (0, []), told
        assert "first" in told.out + told.rest
        assert not RAW.search(told.out.replace(plotly_script(), "").replace("\t", ""))
        assert not RAW.search(told.rest)
        run.joinpath("report.html").unlink(missing_ok=True)
    assert everything(here.folder) == before
    promise("R17", len(LOOKING))


@pytest.mark.parametrize("name", ["config.toml", "summary.toml", "steps.csv"])
@pytest.mark.parametrize("content", SPOILT)
def test_what_is_broken_in_a_run_is_told_by_verify(
    here: Here, promise, name: str, content: bytes
) -> None:
    (here.folder / "runs" / "first" / name).write_bytes(content)
    before = everything(here.folder)
    for words in (("verify", "first"), ("verify", "first", "--json")):
        told = here.run(*words)
        no_settings = not content and name == "config.toml"
        assert (told.code, told.errors) == (1, [])
        # Settings that are all left out are those of another run, which lacks its data.
        assert no_settings or f"runs/first/{name}" in told.out
        assert not RAW.search(told.out + told.rest)
    assert everything(here.folder) == before
    promise("R17", 2)


USERS = [
    (name, "--name", "first") for name in ("generate", "chat", "evaluate", "resume")
]


@pytest.mark.parametrize(
    "words", [*USERS, ("replay", "--name", "first", "--step", "3")]
)
@pytest.mark.parametrize("content", [one for one in SPOILT if one])
def test_who_needs_the_settings_of_a_run_names_what_is_broken(
    here: Here, promise, words: tuple[str, ...], content: bytes
) -> None:
    (here.folder / "runs" / "first" / "config.toml").write_bytes(content)
    line = here.refused(*words)
    assert line.startswith("runs/first/config.toml:")
    assert not RAW.search(line)
    promise("R17", 1)


def test_a_run_in_use_is_left_to_who_uses_it(here: Here, promise) -> None:
    run = here.folder / "runs" / "first"
    with (run / "run.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (run / "run.holder").write_text("process 7 on there\n", "utf-8")
        for words in (RESUME, ("train", "--toml", "config.toml", "--name", "first")):
            assert "is in use by process 7 on there" in here.refused(*words, code=3)
    promise("R12", 2)


def test_who_uses_a_run_is_told_by_process_host_and_time(here: Here, promise) -> None:
    with RunDir(here.folder / "runs" / "first").lock():
        line = here.refused(*RESUME, code=3)
        (verdict, *_) = here.run("verify", "first").out.splitlines()
    who = rf"in use by process {os.getpid()} on {re.escape(os.uname().nodename)} since "
    since = r"(20\d\d-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4})"
    for text in (line, verdict):
        found = re.search(who + since, text)
        assert found
        begun = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S %z")
        assert timedelta(0) <= datetime.now(UTC) - begun < timedelta(hours=1)
    promise("R12", 2)
