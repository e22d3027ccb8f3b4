import json

import pytest
import torch

from slangmod.cli import main
from slangmod.commands import bench
from slangmod.commands.bench import Measured, Trained, Work, page
from slangmod.runs.machines import TABLE, shipped
from slangmod.settings.flops import flops_of_token
from slangmod.training import peak, speeds
from slangmod.training.speeds import Speeds

SPEEDS = Speeds(float32=2e11, bfloat16=1e12, bytes_per_second=1e10)


@pytest.fixture
def small(monkeypatch):
    """A machine that is measured in no time."""
    for name in ("REFERENCE", "GPT_2"):
        work = Work(getattr(bench, name).name, 64, 2, 8, 1, 16, 2)
        monkeypatch.setattr(bench, name, work)
    monkeypatch.setattr(speeds, "LONG", 1e-4)
    monkeypatch.setattr(speeds, "COPIED", 1 << 16)
    monkeypatch.setattr(peak, "SHAPES", ((16, 16, 16),))
    peak.measured.cache_clear()
    yield
    peak.measured.cache_clear()


def test_all_is_measured_and_nothing_is_written(small, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slangmod.toml").write_text("train.batch_sise = 3\n")  # never read
    assert main(["bench", "--json", "--threads", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    here = found["machine"]
    assert here["threads"] == 1
    assert min(here["float32"], here["bfloat16"], here["bytes_per_second"]) > 0
    assert {
        one["precision"]: one["tokens_per_second"] for one in found["training"]
    } == (here["tokens_per_second"])
    for one in found["training"]:
        mfu = one["tokens_per_second"] * one["flops_per_token"] / here[one["precision"]]
        assert one["mfu"] == pytest.approx(mfu)
        assert one["tokens_per_second"] == pytest.approx(16 / one["seconds_per_step"])
    assert found["machines"][0]["name"] == shipped()[0][0].name
    assert [path.name for path in tmp_path.iterdir()] == ["slangmod.toml"]


def test_the_reference_model_is_the_one_that_is_documented():
    settings = bench.REFERENCE.settings("bfloat16")
    model, rows = settings.model, (settings.train.batch_size, settings.data.seq_len)
    assert (model.n_layers, model.dim, model.n_heads, rows) == (6, 256, 8, (8, 256))
    assert (bench.REFERENCE.vocab, model.dropout, model.compile) == (4096, 0.0, False)
    flops = flops_of_token(bench.GPT_2.settings("float32").model, 50257, 1024)
    assert flops.total == pytest.approx(0.8e9, rel=0.05)


def test_machines_are_set_side_by_side_and_what_is_cited_has_a_source(capsys):
    trained = tuple(
        Trained("reference", precision, False, 1e4, 0.125, 0.2, 39_000_000)
        for precision in bench.PRECISIONS
    )
    text = page(Measured(torch.device("cpu"), 2, SPEEDS, trained), *shipped())
    machines, cited = shipped()
    head, *lines = text.splitlines()
    assert "this machine (2 threads)" in head
    assert all(machine.name in head for machine in machines)
    assert len({len(line) for line in [head, *lines[:5]]}) == 1
    (line,) = (one for one in lines if one.startswith("matrix products, bfloat16"))
    assert "1 TFLOP/s" in line
    (line,) = (one for one in lines if one.startswith("reference, bfloat16"))
    assert line.split()[-5:] == ["10k", "200.0", "39", "MFLOP", "12", "%"][-5:]
    for one in cited:
        assert one.what in text
        assert one.source


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--model.dim", "64"], "--model.dim: makes no difference to bench; leave"),
        (["--toml", "c.toml"], "--toml: makes no difference to bench; leave it out"),
        (["--steps", "3"], "--steps: belongs to profile, not to bench"),
        (["--full=3"], "--full: is a switch and takes no value"),
        (["--data.device", "cuda:99"], "data.device"),
        (["quick"], "'quick': bench takes no words of its own"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    capsys, tmp_path, monkeypatch, words, problem
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text("")
    assert main(["bench", *words]) == 2
    lines = [
        line
        for line in capsys.readouterr().err.splitlines()
        if line.startswith("slangmod: error: ")
    ]
    assert len(lines) == 1
    assert problem in lines[0]


def test_the_table_is_shipped():
    assert TABLE.parent.name == "runs"
    assert TABLE.name in (TABLE.parents[2] / "pyproject.toml").read_text()
