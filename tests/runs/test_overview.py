import pytest

from slangmod.locks import holder_file
from slangmod.runs.directory import RunDir
from slangmod.runs.overview import flat, numbered, overview
from slangmod.runs.summary import write_summary


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (None, "stopped"),
        ("stopped", "stopped"),
        ("failed", "failed"),
        ("max_epochs", "ended"),
        ("patience", "ended"),
    ],
)
def test_the_state_of_a_run_is_how_it_came_to_rest(make_run, reason, state):
    run = make_run("first")
    if reason:
        write_summary(run.summary, {"reason": reason}, {}, {}, {})
    assert overview(run).state == state


def test_a_run_at_work_is_running_whatever_its_old_summary_says(make_run):
    run = make_run("first")
    write_summary(run.summary, {"reason": "max_epochs"}, {}, {}, {})
    with run.lock():
        assert overview(run).state == "running"


def test_an_overview_shows_how_far_a_run_is(make_run):
    about = overview(make_run("first"))
    assert about.progress["step"] == 60
    assert type(about.progress["step"]) is int
    assert about.progress["test_loss"] == pytest.approx(2 + 20 / 60)
    assert about.settings["train"]["batch_size"] == 64
    assert about.problems == ()


def test_nothing_that_is_missing_raises(tmp_path):
    run = RunDir.of(tmp_path, "first")
    run.root.mkdir(parents=True)
    about = overview(run)
    assert about.state == "stopped"
    assert about.progress == about.summary == about.settings == {}
    assert len(about.problems) == 1


@pytest.mark.parametrize("content", [b"", b"\xff", b"[", b"a = 1", b"\0" * 100])
def test_nothing_that_is_broken_raises(make_run, content):
    run = make_run("first")
    for path in (
        run.config,
        run.summary,
        run.steps,
        run.epochs,
        holder_file(run.lock_file),
    ):
        path.write_bytes(content)
    table = overview(run).table()
    assert table["name"] == "first"
    assert list(table)[:3] == ["name", "state", "outcome"]


def test_nested_tables_and_lists_of_them_become_one():
    table = {"a": {"b": 1}, "c": [{"d": 2}, {"d": {"e": 3}}], "f": [4], "g": []}
    expected = {"a.b": 1, "c.1.d": 2, "c.2.d.e": 3, "f": [4], "g": []}
    assert flat(numbered(table)) == expected


def test_stages_are_among_all_that_is_known(make_run):
    run = make_run("first")
    assert "stage" not in overview(run).table()
    write_summary(run.summary, {}, {}, {}, {}, [{"number": 1, "tokens": 7}])
    assert overview(run).table()["stage"] == [{"number": 1, "tokens": 7}]
