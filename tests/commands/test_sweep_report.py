import pytest

from slangmod.commands import sweep_report
from slangmod.commands.sweep_report import Report, draw, read_report, write_report
from slangmod.errors import DataError
from slangmod.search.study import COMPLETE, FAILED, RUNNING, Record

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


def test_without_matplotlib_there_are_no_pictures_and_no_error(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(sweep_report, "find_spec", lambda _: None)
    assert draw(tmp_path, REPORT) == []
    assert "slangmod[plots]" in caplog.text
