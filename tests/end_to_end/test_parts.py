"""Parts that a user puts together: classes of others, groups of weights, layers."""

import csv
import sys
from pathlib import Path

import pytest

from slangmod.cli import main

PARTS = """
[optimizer.options]
betas = [0.8, 0.9]

[[optimizer.group]]
match = "embedding.*"
learning_rate = 0

[[optimizer.group]]
match = "layers.2.*"
learning_rate = 0.001

[[model.layer]]
repeat = 2
n_heads = 4

[[model.layer]]
feedforward.flavor = "glu"
feedforward.gate = "mine.gates:Soft"

[plugins]
allow = ["mine.gates"]
"""

GATES = """\
from torch import nn


class Soft(nn.Softsign):
    pass


class Short(nn.Module):
    def forward(self, x):
        return x[..., 1:]
"""


@pytest.fixture
def parts(encoded):
    """A folder that is ready to train with parts of all kinds."""
    config = encoded.folder / "config.toml"
    text = config.read_text("utf-8").replace("n_layers = 2\n", "")
    text = text.replace("[train]", '[train]\noptimizer = "torch.optim:RAdam"')
    config.write_text(text + PARTS, "utf-8")
    package = encoded.folder / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("", "utf-8")
    (package / "gates.py").write_text(GATES, "utf-8")
    return encoded


def rows(path: Path) -> list[list[str]]:
    """A table without what depends on the clock."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [row[:7] for row in csv.reader(stream)]


@pytest.mark.slow
def test_a_run_of_parts_trains_is_resumed_and_writes(parts):
    config = ("--toml", "config.toml")
    result = parts.run("train", *config, "--name", "whole")
    assert result.returncode == 0, result.stderr
    assert 'group 1 "embedding.*": 1 tensor, ' in result.stderr
    assert 'group 2 "layers.2.*": ' in result.stderr
    assert "all others: " in result.stderr
    whole = parts.folder / "runs" / "whole"
    allow = ("--plugins.allow", '["mine.gates"]')
    for epochs in ("1", "2"):
        action = "train" if epochs == "1" else "resume"
        more = config if epochs == "1" else allow
        parts.done(action, *more, "--name", "two", "--train.max_epochs", epochs)
    parts.done("resume", "--name", "two", "--train.max_epochs", "3", *allow)
    two = parts.folder / "runs" / "two"
    assert rows(two / "steps.csv") == rows(whole / "steps.csv")
    for name in ("model.safetensors", "config.json"):
        left, right = (run / "model" / name for run in (two, whole))
        assert left.read_bytes() == right.read_bytes()
    assert parts.done(
        "generate", "the", "--name", "whole", "--chat.max_tokens", "3", *allow
    )


REFUSED = [
    (("--train.optimizer", "torch.optim:LBFGS"), "train.optimizer = "),
    (("--model.layer.2.feedforward.gate", "mine.gates:Short"), "the shape must stay"),
    (("--model.layer.2.feedforward.gate", "mine.nope:Soft"), "plugins.allow"),
    (("--optimizer.group.2.match", "layers.3.*"), "matches no weight"),
]


def contents(folder: Path) -> dict[Path, bytes]:
    """All files, but for what Python makes of modules."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {p: p.read_bytes() for p in found if p.suffix != ".pyc"}


def test_a_part_that_does_not_fit_is_told_before_anything_is_written(
    parts, monkeypatch, capsys
):
    monkeypatch.chdir(parts.folder)
    monkeypatch.syspath_prepend(parts.folder)
    words = ("train", "--overwrite", "--toml", "config.toml", "--name", "first")
    assert main([*words, "--train.max_steps", "1"]) == 0
    before = contents(parts.folder)
    capsys.readouterr()
    for flags, reason in REFUSED:
        assert main([*words, *flags]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("slangmod: error: ")
        assert reason in line
    assert contents(parts.folder) == before
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        del sys.modules[name]
