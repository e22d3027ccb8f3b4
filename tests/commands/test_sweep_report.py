import json
import os
import random

import pytest

from slangmod.commands import sweep_report
from slangmod.commands.sweep_report import Report, draw, read_report, write_report
from slangmod.commands.sweep_words import table
from slangmod.errors import DataError
from slangmod.search.study import COMPLETE, FAILED, RUNNING, Record
from tests.mutations import mutated

RATE = "train.learning_rate"
TRIALS = (
    Record(0, FAILED, {RATE: 1.0, "optimizer.betas": "[0.9, 0.99]"}, reason="memory"),
    Record(1, COMPLETE, {RATE: 0.02, "optimizer.betas": "[0.9, 0.99]"}, 1.5, 2.0),
    Record(2, COMPLETE, {RATE: 0.01, "optimizer.betas": "[0.8, 0.9]"}, 1.5, 2.5),
    Record(3, RUNNING, {RATE: 0.03, "optimizer.betas": "[0.8, 0.9]"}),
)
REPORT = Report(
    "s",
    "running",
    "minimize",
    "test_loss",
    4,
    "0a",
    {RATE: "interval(1e-4, 1.0)", "optimizer.betas": "choice([0.9, 0.99], [0.8, 0.9])"},
    TRIALS,
)


def test_what_is_written_is_read_again(tmp_path):
    write_report(tmp_path, REPORT)
    assert read_report(tmp_path) == REPORT


def test_of_equal_trials_the_first_is_the_best():
    best = REPORT.best()
    assert best is not None
    assert best.number == 1
    assert REPORT.table()["best"]["run"] == "s/trial-001"
    assert REPORT.table()["sweep"]["done"] == 3


def test_a_file_that_is_no_report_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such sweep"):
        read_report(tmp_path)
    for text in ("no toml", "[sweep]\nname = 1", "sweep = 3"):
        (tmp_path / "sweep.toml").write_text(text)
        with pytest.raises(DataError, match="cannot be read as a sweep"):
            read_report(tmp_path)


def altered(tmp_path, old, new):
    """The folder of a report in which ``new`` stands in the place of ``old``."""
    write_report(tmp_path, REPORT)
    text = (tmp_path / "sweep.toml").read_text("utf-8")
    assert old in text
    (tmp_path / "sweep.toml").write_text(text.replace(old, new), "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('direction = "minimize"', 'direction = "down"', "direction"),
        ('direction = "minimize"', "direction = 3", "direction"),
        ('direction = "minimize"', "", "direction: is missing"),
        ('name = "s"', 'name = "../s"', "name"),
        ('name = "s"', "name = 1979-05-27", "name"),
        ("n_trials = 4", "n_trials = true", "n_trials"),
        ('state = "complete"', 'state = "wonderful"', "state"),
        ("value = 1.5", 'value = "good"', "value"),
        ("value = 1.5", "value = nan", "value"),
        ("value = 1.5", "value = -inf", "value"),
        ("value = 1.5", "", "value: is missing"),
        ("seconds = 2.5", "seconds = 1979-05-27", "seconds"),
        ("seconds = 2.5", "seconds = -1", "seconds"),
        ("seconds = 2.5", "seconds = 1e300", "seconds"),
        ('reason = "memory"', "reason = [1]", "reason"),
        ("number = 3", "number = 2", "same number"),
        ("number = 3", "number = -3", "number"),
        ("number = 3", "number = 3.0", "number"),
        ('"train.learning_rate" = 0.03', '"a" = 0.03', "are not in the space"),
        ('"train.learning_rate" = 0.03', f'"{RATE}" = [1, 2]', "parameters"),
        ('"train.learning_rate" = 0.03', f'"{RATE}" = inf', "parameters"),
        ('"interval(1e-4, 1.0)"', "7", RATE),
        ("[[trial]]", "[trial]", ""),
        ("[sweep.space]", "[sweep.spaces]", "space: is missing"),
    ],
)
def test_what_no_sweep_writes_is_refused_in_a_line(tmp_path, old, new, reason):
    with pytest.raises(DataError, match="cannot be read as a sweep") as told:
        read_report(altered(tmp_path, old, new))
    assert reason in str(told.value)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("interval(1e-4, 1.0)", "interval(1e-4, ", "cannot be read"),
        ("interval(1e-4, 1.0)", "interval(1e-4, 1e-3)", "trial 0"),
        ("interval(1e-4, 1.0)", "choice(1.0, 2)", "trial 1"),
        ("= 0.02", "= '0.02'", "trial 1: its train.learning_rate is no number"),
    ],
)
def test_what_is_not_in_the_space_cannot_be_drawn(tmp_path, old, new, reason):
    pytest.importorskip("matplotlib")
    report = read_report(altered(tmp_path, old, new))
    with pytest.raises(DataError, match=r"sweep\.toml: cannot be drawn") as told:
        draw(tmp_path, report)
    assert reason in str(told.value)


@pytest.mark.parametrize("kind", ["pipe", "folder", "huge"])
def test_what_is_no_file_of_toml_is_refused(tmp_path, monkeypatch, kind):
    path = tmp_path / "sweep.toml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        monkeypatch.setattr(sweep_report, "LARGEST", 100)
        path.write_bytes(b"#" * 101)
    with pytest.raises(DataError, match="cannot be read as a sweep"):
        read_report(tmp_path)


def fuzz(tmp_path, trials, seed):
    """Show so many mutated reports; -> how many were refused."""
    write_report(tmp_path, REPORT)
    sound = (tmp_path / "sweep.toml").read_bytes()
    chance, refused = random.Random(seed), 0
    for _ in range(trials):
        content = mutated(sound, chance)
        (tmp_path / "sweep.toml").write_bytes(content)
        try:
            report = read_report(tmp_path)
        except DataError as error:
            assert len(str(error).splitlines()) == 1, content
            refused += 1
        else:
            names = [*report.space]
            text = table(report.trials, names, report.metric, 80)
            assert all(one.isprintable() for one in text.splitlines()), content
            json.dumps(report.table(), allow_nan=False)
        assert (tmp_path / "sweep.toml").read_bytes() == content
    return refused


def test_mutated_reports_are_shown_or_refused_in_a_line(tmp_path):
    assert fuzz(tmp_path, 300, 4) > 100


@pytest.mark.slow
def test_many_mutated_reports_are_shown_or_refused_in_a_line(tmp_path):
    assert fuzz(tmp_path, 20_000, 5) > 5000


def test_without_matplotlib_there_are_no_pictures_and_no_error(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(sweep_report, "find_spec", lambda _: None)
    assert draw(tmp_path, REPORT) == []
    assert "slangmod[plots]" in caplog.text
