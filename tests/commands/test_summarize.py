import json

import pytest

from slangmod.cli import main
from slangmod.runs.summary import write_summary


def summarized(capsys, tmp_path, *more):
    assert main(["summarize", "--workdir", str(tmp_path), *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_all_runs_are_listed_newest_first_with_all_that_is_known(
    capsys, tmp_path, make_run
):
    run = make_run("first")
    write_summary(run.summary, {"reason": "patience"}, {"loss": 1.5}, {}, {"tokens": 9})
    make_run("second")
    second, first = summarized(capsys, tmp_path)
    assert (first["name"], first["state"]) == ("first", "ended")
    assert first["validation"] == {"loss": 1.5}
    assert first["cost"] == {"tokens": 9}
    assert first["settings"]["train"]["batch_size"] == 64
    assert (second["name"], second["state"]) == ("second", "stopped")
    assert second["progress"]["step"] == 60
    assert second["progress"]["best_step"] == 40


def test_a_run_at_work_is_running(capsys, tmp_path, make_run):
    with make_run("first").lock():
        (first,) = summarized(capsys, tmp_path)
    assert first["state"] == "running"


@pytest.mark.parametrize("more", [["one", "two"], ["--name", "one", "--name", "two"]])
def test_only_the_runs_asked_for_are_listed_in_their_order(
    capsys, tmp_path, make_run, more
):
    for name in ("two", "one", "three"):
        make_run(name)
    assert [run["name"] for run in summarized(capsys, tmp_path, *more)] == [
        "one",
        "two",
    ]


def test_no_runs_are_an_empty_list(capsys, tmp_path):
    assert summarized(capsys, tmp_path) == []


def test_numbers_that_json_lacks_become_null(capsys, tmp_path, make_run):
    run = make_run("first")
    nan = float("nan")
    write_summary(run.summary, {"reason": "failed"}, {"loss": nan}, {}, {})
    (first,) = summarized(capsys, tmp_path)
    assert first["validation"]["loss"] is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[[[", b"\0" * 99, b"a=1\n"])
def test_broken_runs_are_listed_with_what_is_wrong(capsys, tmp_path, make_run, content):
    run = make_run("first")
    for path in (run.config, run.summary, run.steps, run.epochs):
        path.write_bytes(content)
    (first,) = summarized(capsys, tmp_path)
    assert first["name"] == "first"
    if content != b"":
        assert any("summary.toml" in problem for problem in first["problems"])


def test_nothing_reaches_the_terminal_raw(capsys, tmp_path, make_run):
    run = make_run("first")
    run.config.write_text('[extra]\nnote = "\\u001b[2J \\u009b1m \\u202e"\n')
    main(["summarize", "--workdir", str(tmp_path)])
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    assert json.loads(out)[0]["settings"]["extra"]["note"] == "\x1b[2J \x9b1m \u202e"


def test_a_run_that_is_not_there_is_an_error_that_lists_those_that_are(
    capsys, tmp_path, make_run
):
    make_run("first")
    assert main(["summarize", "frist", "--workdir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("slangmod: error: frist: no such run in ")
    assert "first" in error
