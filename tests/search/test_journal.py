"""Journals that others have made, or that a crash has left."""

import json
import os
import random

import pytest

from slangmod.errors import DataError, UserError
from slangmod.search.dimensions import Choice, Interval
from slangmod.search.journal import LONGEST, judged, open_journal
from slangmod.search.study import COMPLETE, FAILED, PRUNED, open_study
from tests.mutations import mutated

SPACE = {
    "model.dropout": Interval(0.0, 0.5),
    "model.dim": Interval(8, 64, whole=True),
    "optimizer.betas": Choice(((0.9, 0.99), (0.8, 0.9))),
}
ABOUT = {
    "space": {"model.dropout": "interval(0.0, 0.5)"},
    "direction": "minimize",
    "metric": "test_loss",
    "settings": {"seed": "1"},
}
PARAMETERS = {"model.dropout": 0.25, "model.dim": 16, "optimizer.betas": "[0.9, 0.99]"}


def opened(path):
    with judged(str(path)):
        return open_study(open_journal(path), "s", SPACE, ABOUT)


def ask(study):
    return study.ask(lambda _: PARAMETERS, 1, 5, "here").number


@pytest.fixture
def journal(tmp_path):
    """One of a study in which all has happened that does."""
    path = tmp_path / "study.journal"
    study = opened(path)
    study.count_for("here", 3)
    study.tell(ask(study), COMPLETE, value=1.5, seconds=2.0)
    study.tell(ask(study), FAILED, reason="the loss is not finite")
    number = ask(study)
    study.report(number, {1: 3.0, 2: float("nan"), 3: float("inf")})
    study.tell(number, PRUNED, seconds=0.5)
    ask(study)
    return path


def alone_in(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_slangmod_writes_is_sound(journal):
    states = [record.state for record in opened(journal).records()]
    assert states == ["complete", "failed", "pruned", "running"]


def test_nothing_is_mended_before_something_is_written(journal):
    sound = journal.read_bytes()
    journal.write_bytes(sound + b'{"op_code":4,"work')
    study = opened(journal)
    assert journal.read_bytes() == sound + b'{"op_code":4,"work'
    assert ask(study) == 4
    assert journal.read_bytes().startswith(sound + b'{"op_code":4,"worker_id"')
    assert len(opened(journal).records()) == 5


def test_what_another_worker_left_unfinished_is_mended_by_the_next(journal):
    study = opened(journal)
    with journal.open("ab") as stream:
        stream.write(b'{"op_code":8,"worker_id":"' + b"x" * 10_000)
    assert ask(study) == 4
    assert len(opened(journal).records()) == 5


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": 1}\n{"b": 2}\n',
        b'{"a": 1}\n{"b": 2',
        b'{"op_code": "x", "worker_id": "y"}\n{"b": 2',
        b"my notes\nmore of them",
        b"my notes",
        b"\x00" * 100,
        b"[" * 10**5,
        b"\xff\xfe\n",
        b"5\n",
        b"\n",
    ],
)
def test_a_file_of_somebody_else_stays_as_it_is(tmp_path, content):
    path = tmp_path / "notes.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"notes\.jsonl: is no journal of a study"):
        opened(path)
    assert alone_in(tmp_path) == {"notes.jsonl": content}


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 10**5 + b"\n",
        b'{"op_code":0,"worker_id":"x","a":' + b"9" * 5000 + b"}\n",
        b"5\n",
        b'{"op_code":99,"worker_id":"x"}\n',
        b'{"op_code":4,"worker_id":"x"}\n',
        b'{"op_code":4,"worker_id":"x","study_id":0,"datetime_start":7}\n',
        b'{"op_code":2,"worker_id":"x","study_id":0,"user_attr":5}\n',
        b'{"op_code":2,"worker_id":"x","study_id":[],"user_attr":{"a":5}}\n',
        b'{"op_code":2,"worker_id":"x","study_id":0,"user_attr":{"slangmod":5}}\n',
        b'{"op_code":2,"worker_id":"x","study_id":0,"user_attr":{"count of a":[]}}\n',
        b'{"op_code":8,"worker_id":"x","trial_id":3,"user_attr":{"seconds":"1"}}\n',
        b'{"op_code":8,"worker_id":"x","trial_id":3,"user_attr":{"home":1}}\n',
        b'{"op_code":7,"worker_id":"x","trial_id":3,"step":"a",'
        b'"intermediate_value":1}\n',
        b'{"op_code":4,"worker_id":"x","study_id":0,"datetime_start":null}\n',
        b'{"op_code":0,"worker_id":"' + b"x" * LONGEST + b'"}\n',
    ],
)
def test_a_line_that_nobody_writes_is_told_and_nothing_changes(journal, line):
    content = journal.read_bytes() + line
    journal.write_bytes(content)
    before = alone_in(journal.parent)
    with pytest.raises(DataError, match=r"study\.journal: is damaged") as told:
        opened(journal)
    (problem,) = told.value.problems
    assert len(problem.splitlines()) == 1
    assert len(problem) < 500 + len(str(journal))
    assert alone_in(journal.parent) == before


def test_what_is_no_file_is_told_at_once(tmp_path):
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (pipe, folder, tmp_path / ("x" * 300)):
        with pytest.raises(DataError, match="cannot be read as the journal"):
            opened(path)
    assert {path.name for path in tmp_path.iterdir()} == {"pipe", "folder"}


def test_locks_change_nothing_of_a_file_that_bears_their_name(tmp_path):
    for name in ("poetry.lock", "poetry.turn"):
        (tmp_path / name).write_text("not ours")
    ask(opened(tmp_path / "poetry"))
    assert (tmp_path / "poetry.lock").read_text() == "not ours"
    (tmp_path / "other.lock").symlink_to(tmp_path / "poetry.lock")
    with pytest.raises(DataError, match="is a link"):
        opened(tmp_path / "other")


def fuzz(journal, trials, seed):
    """Open so many mutated journals; -> how many were refused."""
    sound, chance, refused = journal.read_bytes(), random.Random(seed), 0
    for _ in range(trials):
        content = mutated(sound, chance)
        journal.write_bytes(content)
        before = alone_in(journal.parent)
        try:
            study = opened(journal)
        except UserError as error:
            assert all(len(one.splitlines()) == 1 for one in error.problems)
            assert alone_in(journal.parent) == before, content
            refused += 1
        else:
            for record in study.records():
                json.dumps(record.__dict__)
            ask(study)
            assert len(opened(journal).records()) == len(study.records())
    return refused


def test_mutated_journals_are_read_or_refused_in_a_line(journal):
    assert fuzz(journal, 150, 1) > 50


@pytest.mark.slow
def test_many_mutated_journals_are_read_or_refused_in_a_line(journal):
    assert fuzz(journal, 5000, 2) > 1000
