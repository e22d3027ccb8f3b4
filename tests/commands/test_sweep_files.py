"""Files of a sweep that others have altered: one line, exit 2, and nothing changed."""

import json
import os
import random
from pathlib import Path

import pytest
import tomli
import tomli_w

from slangmod import cli
from slangmod.commands.sweeping import ENDED, Course
from tests.commands.test_sweep import encoded_bytes as encoded_bytes
from tests.commands.test_sweep import search
from tests.commands.test_sweep import work as work
from tests.mutations import mutated

WORDS = ("--name", "s", "--sweep.n_trials", "1")
HOSTILE = "a\x1b[2Jb\u202ec\u2066d\x9be\nf\x7fg"


@pytest.fixture
def swept(work, capsys):
    """The folder of a sweep of one trial."""
    assert search(*WORDS) == 0
    capsys.readouterr()
    return work / "runs" / "s"


def content_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def refused(capsys, *words):
    """What is said where ``words`` end with exit code 2, one line, nothing changed."""
    before = content_of(Path())
    assert cli.main([*words]) == 2
    said = capsys.readouterr().err
    assert content_of(Path()) == before
    errors = [line for line in said.splitlines() if "error: " in line]
    assert len(errors) == 1
    assert "error: unexpected" not in said
    return errors[0]


SWEEP = ("sweep", "--toml", "config.toml", *WORDS)


def test_a_file_that_is_no_journal_stays_and_leaves_no_sweep(work, capsys):
    Path("notes.jsonl").write_text('{"a": 1}\n{"b": 2}\n')
    said = refused(capsys, *SWEEP, "--sweep.storage", "notes.jsonl")
    assert "notes.jsonl: is no journal of a study" in said
    assert not Path("runs/s").exists()
    said = refused(capsys, *SWEEP, "--sweep.storage", "raw.db/x")
    assert "there is no folder raw.db" in said
    Path("notes.db").write_text("my notes " * 200)
    said = refused(capsys, *SWEEP, "--sweep.storage", "sqlite:///notes.db")
    assert "notes.db: cannot keep a study: file is not a database" in said
    assert not Path("runs/s").exists()


def test_a_damaged_journal_is_told_to_all_workers(swept, capsys):
    with (swept / "study.journal").open("ab") as stream:
        stream.write(b"[" * 10**5 + b"\n")
    assert "study.journal: is damaged in line" in refused(capsys, *SWEEP)
    assert "study.journal: is damaged in line" in refused(capsys, *SWEEP, "--join")


def test_a_trial_that_leads_elsewhere_is_told_before_anything_is_written(swept, capsys):
    (trial,) = swept.glob("trial-*")
    (trial / "config.toml").unlink()
    (trial / "config.toml").symlink_to("/dev/zero")
    words = ("sweep", "--toml", "config.toml", "--name", "s", "--sweep.n_trials", "2")
    before = (swept / "study.journal").read_bytes(), (swept / "sweep.log").read_bytes()
    assert cli.main([*words]) == 2
    assert "config.toml: leads out of the working directory" in capsys.readouterr().err
    after = (swept / "study.journal").read_bytes(), (swept / "sweep.log").read_bytes()
    assert after == before


def spoils(monkeypatch, path: Path):
    """What a study is kept in becomes something else once the first trial has begun."""
    begin = Course.begin

    def spoilt(course, record):
        begun = begin(course, record)
        path.write_bytes(b"no study any more\n" * 999)
        return begun

    monkeypatch.setattr(Course, "begin", spoilt)


@pytest.mark.parametrize("join", [(), ("--join",)], ids=["sweep", "join"])
@pytest.mark.parametrize("storage", ["sqlite:///{}", "{}"])
def test_a_study_that_is_altered_meanwhile_ends_the_sweep_in_a_line(
    work, capsys, monkeypatch, storage, join
):
    path = Path("kept").absolute()
    words = (*SWEEP, "--sweep.storage", storage.format(path))
    if join:
        with monkeypatch.context() as patch:
            patch.setattr(Course, "run", lambda _: ENDED)
            assert cli.main([*words]) == 1  # with no trial yet
        capsys.readouterr()
    spoils(monkeypatch, path)
    assert cli.main([*words, *join]) == 1
    errors = [
        line for line in capsys.readouterr().err.splitlines() if "error: " in line
    ]
    assert len(errors) == 1
    assert f"{path}: the study cannot be kept any more" in errors[0]
    assert "--name s goes on" in errors[0]


@pytest.mark.parametrize("name", ["study.journal", "sweep.log", "x.fifo"])
def test_a_pipe_in_the_folder_keeps_nobody_waiting(swept, capsys, name):
    (swept / name).unlink(missing_ok=True)
    os.mkfifo(swept / name)
    for words in (SWEEP, (*SWEEP, "--join"), ("sweep", "plot", "s")):
        said = refused(capsys, *words)
        assert f"{name}: is neither a file nor a folder; remove it" in said


@pytest.mark.parametrize("mark", [{}, {"home": 1, "study": [2]}, {"study": ""}])
def test_a_mark_that_says_nothing_of_the_study_is_made_anew(swept, mark):
    (swept / ".slangmod.json").write_text(json.dumps(mark))
    assert search(*WORDS) == 0
    assert json.loads((swept / ".slangmod.json").read_text())["study"] == "s"


def test_what_leads_nowhere_is_no_sweep_to_go_on_with(swept):
    odd = Path("runs", "odd name")
    for folder in (odd, Path("runs", "gone"), Path("runs", "pipe")):
        folder.mkdir()
    (odd / "sweep.toml").write_bytes((swept / "sweep.toml").read_bytes())
    Path("runs/gone/sweep.toml").symlink_to("nowhere")
    os.mkfifo("runs/pipe/sweep.toml")
    assert search("--sweep.n_trials", "1") == 0
    assert len([*Path("runs").iterdir()]) == 5


def test_no_sign_that_a_terminal_obeys_is_shown(swept, capsys):
    content = tomli.loads((swept / "sweep.toml").read_text())
    content["sweep"]["metric"] = HOSTILE
    content["sweep"]["space"][HOSTILE] = HOSTILE
    content["trial"].append(
        {"number": 7, "state": "failed", "parameters": {HOSTILE: HOSTILE}}
    )
    content["trial"][-1]["reason"] = HOSTILE
    (swept / "sweep.toml").write_text(tomli_w.dumps(content))
    for words in (("sweep", "show", "s"), ("sweep", "show", "s", "--json")):
        assert cli.main([*words]) == 0
        said = capsys.readouterr().out
        assert all(line.isprintable() for line in said.splitlines())
        assert "u001b[2J" in said
        assert "u202e" in said
    assert json.loads(said)["trial"][-1]["reason"] == HOSTILE


@pytest.mark.parametrize("text", ["no toml", "[environment]\nthreads = 'x'\n"])
def test_a_summary_that_says_nothing_ends_no_sweep(swept, text):
    (swept / "trial-000" / "summary.toml").write_text(text)
    (swept / "best.toml").unlink()
    assert search(*WORDS) == 0
    best = tomli.loads((swept / "best.toml").read_text())
    assert best["threads"] == "none"


def fuzz(swept, capsys, name, words, trials, seed):
    """Run ``words`` with so many mutations of a file; -> how many were refused."""
    path, before = swept / name, content_of(swept)
    chance, found = random.Random(seed), 0
    for _ in range(trials):
        content = mutated(before[name], chance)
        for other, old in before.items():
            (swept / other).write_bytes(old)
        path.write_bytes(content)
        code = cli.main([*words])
        said = capsys.readouterr().err
        assert "error: unexpected" not in said, content
        if code == 2:
            found += 1
            assert content_of(swept) == before | {name: content}
            assert all(
                line.count("error: ") == 1 or " warning: " in line
                for line in said.splitlines()
            )
        elif code:  # the trial was said to have failed, or to be under way
            assert "no trial came to its end" in said, content
    return found


@pytest.mark.parametrize(
    ("name", "words", "trials"),
    [
        ("study.journal", SWEEP, 12),
        ("sweep.toml", ("sweep", "show", "s"), 40),
        ("sweep.toml", SWEEP, 5),
        (".slangmod.json", SWEEP, 5),
    ],
)
def test_mutated_files_are_read_or_refused(
    swept, capsys, monkeypatch, name, words, trials
):
    monkeypatch.setattr(Course, "run", lambda _: ENDED)
    fuzz(swept, capsys, name, words, trials, 7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words", "trials"),
    [
        ("study.journal", SWEEP, 700),
        ("sweep.toml", ("sweep", "show", "s", "--json"), 1000),
        ("sweep.toml", ("sweep", "plot", "s"), 200),
        ("sweep.toml", SWEEP, 100),
        (".slangmod.json", SWEEP, 100),
        ("trial-000/summary.toml", SWEEP, 100),
    ],
)
def test_many_mutated_files_are_read_or_refused(
    swept, capsys, monkeypatch, name, words, trials
):
    monkeypatch.setattr(Course, "run", lambda _: ENDED)
    fuzz(swept, capsys, name, words, trials, 8)
