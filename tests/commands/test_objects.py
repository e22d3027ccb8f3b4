"""``--settings package.module:name``: experiments that are Python objects."""

import sys

import pytest
import tomli

from slangmod.cli import main

MODULE = """\
import slangmod
base = slangmod.load_settings(None, {"size": "tiny"})
best = base.replace(**{"train.learning_rate": 0.005, "model.dim": 512,
                       "model.n_heads": 8, "stage": [{"epochs": 2}]})
number = 3
"""


@pytest.fixture
def slangmod(tmp_path, monkeypatch, capsys):
    """Runs a command line in a folder with modules; -> exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    (tmp_path / "trials").mkdir()
    (tmp_path / "trials" / "first.py").write_text(MODULE)
    (tmp_path / "trials" / "wrong.py").write_text("1 / 0")
    (tmp_path / "trials" / "unsound.py").write_text(
        "import slangmod\nx = slangmod.load_settings(None, {'train.batch_size': 0})"
    )

    def run(words):
        code = main(words.split())
        return code, *capsys.readouterr()

    yield run
    for name in [one for one in sys.modules if one.startswith("trials")]:
        del sys.modules[name]


def test_the_object_takes_the_place_of_the_file(slangmod):
    code, out, err = slangmod(
        "config show --settings trials.first:best --train.warmup 3"
    )
    assert (code, err) == (0, "")
    shown = tomli.loads(out)
    assert shown["train"]["learning_rate"] == 0.005
    assert shown["train"]["warmup"] == 3
    assert shown["train"]["batch_size"] == 16  # of the preset
    assert shown["model"]["dim"] == 512  # as by default, whatever the preset says
    assert shown["stage"] == [
        {"epochs": 2, "reset_optimizer": False, "schedule": "restart"}
    ]
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert (
        "learning_rate = 0.005 # trials.first:best, was 0.002 in preset:tiny" in lines
    )
    assert (
        "warmup = 3 # --train.warmup, was 100 in trials.first:best, "
        "was 100 in preset:tiny"
    ) in lines


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("trials.first", "give a module and a name in it"),
        ("trials.first:nope", "module 'trials.first' has no attribute 'nope'"),
        ("trials.first:number", "is a int, not a slangmod.Settings"),
        ("nowhere.first:x", "cannot be imported: ModuleNotFoundError"),
        ("trials.wrong:x", "cannot be imported: ZeroDivisionError: division by zero"),
        ("trials.unsound:x", "train.batch_size = 0: must be at least 1"),
        ("trials.first:best --toml c.toml", "give one, and no --toml beside it"),
    ],
)
def test_what_is_no_such_object_is_one_line_of_error(slangmod, words, problem):
    code, out, err = slangmod(f"config show --settings {words}")
    assert (code, out) == (2, "")
    assert problem in err
    assert err.startswith("slangmod: error: --settings")
