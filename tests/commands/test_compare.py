import csv
import io
import json

import pytest

from slangmod.cli import main
from slangmod.runs.summary import write_summary


@pytest.fixture
def two_runs(make_run):
    one, two = make_run("one"), make_run("two")
    two.config.write_text('[train]\nbatch_size = 32\nscaling = "inverse"\n')
    write_summary(
        one.summary,
        {"reason": "max_epochs", "steps": 60, "best_test_loss": 2.125},
        {"loss": 2.25, "perplexity": 9.487735836358526},
        {},
        {"seconds": 1234.5, "tokens": 38400},
    )
    return one, two


def compared(capsys, tmp_path, *more):
    assert main(["compare", "one", "two", "--workdir", str(tmp_path), *more]) == 0
    return capsys.readouterr().out


def line_of(table, key):
    return next(line.split()[1:] for line in table.splitlines() if line.startswith(key))


def test_settings_that_differ_are_shown_and_no_others(capsys, tmp_path, two_runs):
    table = compared(capsys, tmp_path)
    assert line_of(table, "train.batch_size") == ["64", "32"]
    assert "train.scaling" not in table


def test_numbers_of_an_ended_run_come_from_its_summary(capsys, tmp_path, two_runs):
    table = compared(capsys, tmp_path)
    assert line_of(table, "state") == ["ended", "stopped"]
    assert line_of(table, "outcome.best_test_loss") == ["2.1250", "2.0000"]
    assert line_of(table, "validation.perplexity") == ["9.4877", "-"]
    assert line_of(table, "cost.seconds") == ["1234", "-"]
    assert line_of(table, "outcome.steps") == ["60", "60"]


def test_the_curves_follow_the_table(capsys, tmp_path, two_runs):
    out = compared(capsys, tmp_path)
    assert "● one" in out
    assert "■ two" in out
    assert out.isprintable() or "\x1b" not in out


@pytest.mark.parametrize("more", [["--format", "json"], ["--json"]])
def test_json_holds_full_precision(capsys, tmp_path, two_runs, more):
    one, two = json.loads(compared(capsys, tmp_path, *more))
    assert one["validation.perplexity"] == 9.487735836358526
    assert two["validation.perplexity"] is None
    assert two["train.batch_size"] == 32


def test_csv_has_a_line_for_each_run(capsys, tmp_path, two_runs):
    text = compared(capsys, tmp_path, "--format", "csv")
    one, two = csv.DictReader(io.StringIO(text))
    assert (one["name"], two["name"]) == ("one", "two")
    assert one["validation.perplexity"] == "9.487735836358526"
    assert two["validation.perplexity"] == ""


@pytest.mark.parametrize(
    ("by", "title", "last"),
    [
        ("step", "test loss, optimizer steps", "60"),
        ("tokens", "test loss, target tokens", "38.4k"),
        ("time", "test loss, seconds of training", "60"),
    ],
)
def test_losses_are_compared_at_equal_places(
    capsys, tmp_path, two_runs, by, title, last
):
    table = compared(capsys, tmp_path, "--by", by).split("\n\n")[1]
    assert table.startswith(title)
    assert table.splitlines()[-1].split() == [last, "2.3333", "2.3333"]


def test_json_holds_curves_over_what_is_asked_for(capsys, tmp_path, two_runs):
    one, _ = json.loads(compared(capsys, tmp_path, "--json", "--by", "step"))
    assert one["curves"]["by"] == "step"
    assert one["curves"]["test"]["x"] == [10, 20, 30, 40, 50, 60]
    assert one["curves"]["test"]["y"][3] == 2.0


@pytest.fixture
def repeated(make_run):
    """Three seeds of each of two learning rates; the second is better."""
    for rate, losses in (("a", (2.5, 2.51, 2.52)), ("b", (2.3, 2.31, 2.33))):
        for number, loss in enumerate(losses, start=1):
            run = make_run(f"{rate}-{number}")
            run.config.write_text(
                f'seed = {number}\nname = "{run.name}"\n[train]\nscaling = "{rate}"\n'
            )
            write_summary(
                run.summary,
                {"reason": "max_epochs", "best_test_loss": loss},
                {},
                {},
                {},
            )


def test_repeated_runs_are_told_with_mean_spread_and_verdict(
    capsys, tmp_path, repeated
):
    names = [f"{rate}-{number}" for rate in "ab" for number in (1, 2, 3)]
    assert main(["compare", *names, "--workdir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert line_of(out, "a ") == ["3", "2.5100", "0.01"]
    assert (
        "b is 0.1967 better than a: more than seeds explain (Welch's test, p = " in out
    )
    assert main(["compare", *names, "--workdir", str(tmp_path), "--json"]) == 0
    one = json.loads(capsys.readouterr().out)[0]["group"]
    assert (one["name"], one["runs"]) == ("a", ["a-1", "a-2", "a-3"])
    assert one["differences"][0]["second"] == "b"
    assert one["differences"][0]["exceeds"] is True
    assert main(["compare", *names, "--workdir", str(tmp_path), "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["group"] for row in rows} == {"a", "b"}
    assert float(rows[0]["group.mean"]) == pytest.approx(2.51)


def test_runs_that_are_no_repetitions_are_no_groups(capsys, tmp_path, two_runs):
    assert "spread" not in compared(capsys, tmp_path)


def test_html_is_the_report(capsys, tmp_path, two_runs):
    page = compared(capsys, tmp_path, "--format", "html")
    assert page.startswith("<!doctype html>")
    assert "<h1>one, two</h1>" in page


def test_a_script_for_gnuplot_is_printed_instead(capsys, tmp_path, two_runs):
    out = compared(capsys, tmp_path, "--gnuplot", "--by", "time")
    assert out.startswith("# Curves of slangmod")
    assert "set xlabel 'seconds of training'" in out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--gnuplot", "--json"], "--gnuplot and --json"),
        (["--gnuplot", "--plot", "x.png"], "--gnuplot and --plot"),
        (["--json", "--format", "csv"], "--json and --format"),
    ],
)
def test_formats_that_do_not_go_together_are_refused(
    capsys, tmp_path, two_runs, more, words
):
    assert main(["compare", "one", "--workdir", str(tmp_path), *more]) == 2
    assert f"{words}: give one" in capsys.readouterr().err


def test_without_names_all_runs_are_compared(capsys, tmp_path, two_runs):
    assert main(["compare", "--workdir", str(tmp_path), "--json"]) == 0
    names = {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert names == {"one", "two"}


def test_a_picture_is_drawn_where_one_is_asked_for(capsys, tmp_path, two_runs):
    path = tmp_path / "both.png"
    out = compared(capsys, tmp_path, "--plot", str(path))
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "nats per token" not in out


def test_settings_cannot_smuggle_controls_into_the_terminal(capsys, tmp_path, two_runs):
    two_runs[0].config.write_text('[extra]\nnote = "\\u001b[2J"\n')
    for more in ([], ["--format", "csv"], ["--json"]):
        assert "\x1b" not in compared(capsys, tmp_path, *more)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[[", b"\0" * 50])
def test_broken_runs_do_not_break_the_table(capsys, tmp_path, two_runs, content):
    for path in (two_runs[0].config, two_runs[0].summary, two_runs[0].steps):
        path.write_bytes(content)
    assert line_of(compared(capsys, tmp_path), "name") == ["one", "two"]


def test_where_there_is_nothing_to_compare_the_way_out_is_named(capsys, tmp_path):
    assert main(["compare", "--workdir", str(tmp_path)]) == 2
    assert "`slangmod train`" in capsys.readouterr().err
