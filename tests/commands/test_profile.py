import json
from datetime import UTC, datetime

import pytest

from slangmod.cli import main
from slangmod.commands.profile import free_name
from slangmod.runs.efficiency import NAMES
from slangmod.settings.sections import Settings
from slangmod.training.times import COMPUTE, DATA, OPTIMIZER

FILE = """
workdir = "work"
[files]
raw = "raw"
[tokens]
algo = "byte"
[data]
seq_len = 8
precision = "float32"
[model]
dim = 16
n_heads = 2
n_layers = 1
context = 16
compile = false
[train]
batch_size = 4
step_freq = 2
max_steps = 2
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with settings; ``encoded`` makes the data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(FILE)
    return tmp_path


@pytest.fixture
def encoded(here):
    (here / "raw").mkdir()
    for split, size in (("train", 700), ("test", 90), ("validation", 90)):
        (here / "raw" / f"{split}.txt").write_text("some text. " * (size // 11))
    actions = ["clean", "tokenize", "encode", "--toml", "config.toml"]
    assert main([*actions, "--log_level", "error"]) == 0
    return here


def profiled(*words):
    return main(["profile", "--toml", "config.toml", *words])


def errors(capsys):
    lines = capsys.readouterr().err.splitlines()
    return [line for line in lines if line.startswith("slangmod: error: ")]


def test_it_writes_a_trace_and_no_run_and_says_what_takes_long(encoded, capsys):
    before = {path.name for path in (encoded / "work").iterdir()}
    assert profiled("--name", "first", "--steps", "2") == 0
    out = capsys.readouterr().out
    assert {p.name for p in (encoded / "work").iterdir()} - before == {"profiles"}
    trace = json.loads((encoded / "work/profiles/first.json").read_text("utf-8"))
    names = [event.get("name") for event in trace["traceEvents"]]
    for part in (DATA, COMPUTE, OPTIMIZER):
        labels = [
            e for e in trace["traceEvents"] if e.get("name") == f"slangmod: {part}"
        ]
        assert len([e for e in labels if e.get("cat") == "user_annotation"]) == 2
    assert "aten::mm" in names
    head, *lines = out.splitlines()
    assert "2 steps after 3, on cpu, 1 thread, float32, not compiled" in head
    rows = {line[:40].strip(): line[40:].split() for line in lines if line}
    assert {*NAMES.values(), "operator", "aten::mm"} <= set(rows)
    shares = [float(rows[name][1]) for name in NAMES.values()]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert not [name for name in rows if name.startswith("slangmod")]
    calls = float(rows["aten::mm"][-1])
    assert calls == int(calls) > 0  # all steps are alike


def test_an_older_trace_is_left_alone(tmp_path):
    settings = Settings(workdir=str(tmp_path), name="first")
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    folder = tmp_path / "profiles"
    folder.mkdir()
    for name in ("first.json", "first-2.json", "first-3.json"):
        path = free_name(settings, noon)
        assert path == folder / name
        path.write_text("mine")
    unnamed = free_name(Settings(workdir=str(tmp_path)), noon)
    assert unnamed.name == "2026-11-21-12h00m00s.json"


@pytest.mark.parametrize("steps", ["0", "-1", "101", "x", "1.5", ""])
def test_a_number_of_steps_that_is_none_is_refused(here, capsys, steps):
    assert profiled(f"--steps={steps}") == 2
    (line,) = errors(capsys)
    assert f"--steps {steps}: give a number of optimizer steps from 1 to 100" in line


@pytest.mark.parametrize("target", ["raw", "nowhere/trace.json"])
def test_a_trace_that_cannot_be_written_is_refused_first(here, capsys, target):
    (here / "raw").mkdir()
    assert profiled("--output", target) == 2
    (line,) = errors(capsys)
    assert f"--output {target}: is no file in a folder that exists" in line


def test_a_file_in_the_place_of_the_folder_is_refused(here, capsys):
    (here / "work").mkdir()
    (here / "work/profiles").write_text("")
    assert profiled() == 2
    assert "profiles: is no folder; move it, or give --output FILE" in errors(capsys)[0]


def test_without_encodings_it_says_what_to_do(here, capsys):
    assert profiled() == 2
    assert "run `slangmod tokenize encode`" in errors(capsys)[0]
    assert not (here / "work").exists()
