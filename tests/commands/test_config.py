"""``slangmod config``: what it prints, and what it refuses."""

import json

import pytest
import tomli

from slangmod.cli import main
from slangmod.settings import load_settings
from slangmod.settings.schema import json_schema

FIRST = "seed = 1\n[train]\nlearning_rate = 0.0003\n"
SECOND = 'base = "first.toml"\n[train]\n\nlearning_rate = 0.002\n'


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "first.toml").write_text(FIRST)
    (tmp_path / "second.toml").write_text(SECOND)
    (tmp_path / "bad.toml").write_text("seeed = 1\n[train]\ngamma = 7\n")
    return tmp_path


@pytest.fixture
def slangmod(here, capsys):
    """Runs a command line; -> exit code, standard output, standard error."""

    def run(line):
        code = main(line.split())
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize("action", ["config show", "dry-run"])
def test_show_prints_toml_that_loads(slangmod, here, action):
    code, out, err = slangmod(f"{action} --toml second.toml --train.warmup 5")
    assert (code, err) == (0, "")
    assert "learning_rate = 0.002   # second.toml:4, was 0.0003 in first.toml:3" in out
    (here / "shown.toml").write_text(out)
    expected = load_settings("second.toml", {"train.warmup": 5})
    assert load_settings("shown.toml") == expected


def test_show_prints_json(slangmod):
    _, out, _ = slangmod("config show --toml second.toml --json")
    shown = json.loads(out)
    assert shown["train"]["learning_rate"] == 0.002
    assert shown["train"]["patience"] is None
    _, out, _ = slangmod("config show --toml second.toml --json --changed")
    assert json.loads(out) == {"seed": 1, "train": {"learning_rate": 0.002}}


def test_show_prints_only_changes(slangmod):
    _, out, _ = slangmod("config show --toml second.toml --changed")
    assert tomli.loads(out) == {"seed": 1, "train": {"learning_rate": 0.002}}


def test_explain_tells_all_there_is(slangmod):
    code, out, _ = slangmod("config explain train.patience --train.patience 3")
    assert code == 0
    assert out.splitlines() == [
        "train.patience = 3",
        "  stop after that many consecutive epochs without a better test loss; "
        "unset: never",
        "  type            integer | none",
        "  range           at least 2",
        "  unit            epochs",
        '  default         "none"',
        "  origin          --train.patience",
        "  flag            --train.patience",
        "  variable        SLM_TRAIN__PATIENCE",
        "  used by         train, resume, sweep, profile",
    ]
    _, out, _ = slangmod("config explain train --json")
    assert [one["name"] for one in json.loads(out)][:2] == [
        "train.batch_size",
        "train.largest_batch",
    ]


def test_diff_tells_what_differs_with_origins(slangmod):
    code, out, _ = slangmod("config diff first.toml second.toml")
    assert code == 0
    assert out.splitlines() == [
        "train.learning_rate",
        "  - 0.0003                 # first.toml:3",
        "  + 0.002                  # second.toml:4, was 0.0003 in first.toml:3",
    ]
    _, out, _ = slangmod("config diff first.toml second.toml --json")
    assert json.loads(out) == {"train.learning_rate": [0.0003, 0.002]}


def test_diff_of_the_same_says_so(slangmod):
    code, out, err = slangmod("config diff first.toml first.toml")
    assert (code, out) == (0, "")
    assert "0 settings differ" in err


def test_diff_takes_folders_of_runs(slangmod, here):
    for name, seed in (("a", 1), ("b", 2)):
        (here / name).mkdir()
        (here / name / "config.toml").write_text(f"seed = {seed}")
    _, out, _ = slangmod("config diff a b --json")
    assert json.loads(out) == {"seed": [1, 2]}


def test_check_tells_all_problems_of_all_files(slangmod):
    code, out, err = slangmod("config check first.toml bad.toml nope.toml second.toml")
    assert code == 2
    assert out == "first.toml: sound\nsecond.toml: sound\n"
    assert err.splitlines() == [
        "slangmod: error: bad.toml:1: unknown setting 'seeed'; did you mean 'seed'?",
        "slangmod: error: bad.toml:3: train.gamma = 7: must be above 0 and below 1",
        "slangmod: error: nope.toml: no such file",
    ]
    assert slangmod("config check first.toml second.toml")[0] == 0


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("config explain", "config explain: name a setting, such as train.patience"),
        ("config explain patiense", "unknown setting 'patiense'; did you mean"),
        ("config diff first.toml", "config diff: name two files, or two folders"),
        ("config diff first.toml bad.toml", "bad.toml:1: unknown setting 'seeed'"),
        ("config check", "config check: name one file or more"),
        ("config show --toml bad.toml", "bad.toml:3: train.gamma = 7"),
    ],
)
def test_what_cannot_be_done_is_refused(slangmod, line, problem):
    code, out, err = slangmod(line)
    assert (code, out) == (2, "")
    assert problem in err


def test_schema_and_example_are_printed(slangmod, here):
    assert json.loads(slangmod("config schema")[1]) == json_schema()
    (here / "example.toml").write_text(slangmod("config example")[1])
    assert load_settings("example.toml") == load_settings()
