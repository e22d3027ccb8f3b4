"""Whether what is on disk is as it was written, in one line for each fault."""

import json
import shutil
from pathlib import Path

import pytest

from slangmod.cli import main
from tests.reliability.small_work import make_work, train


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verified") / "work"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_work(folder)
        assert train("first", "--train.ema", "0.9") == 0
        assert train("second", "--train.max_steps", "3") == 0
    return folder


@pytest.fixture
def work(made, tmp_path, monkeypatch) -> Path:
    """A copy of a folder with two runs, in which the command is called."""
    shutil.copytree(made, tmp_path / "work")
    for name in ("first", "second"):
        config = tmp_path / "work" / "runs" / name / "config.toml"
        config.write_text(config.read_text().replace(str(made), "."))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_what_is_sound_is_said_in_a_line_each(work, capsys):
    assert main(["verify", "first", "second"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": sound (")[0] for line in lines] == [
        "runs/first",
        "corpus",
        next(work.glob("tokenizer-*.json")).name,
        next(work.glob("encodings-*")).name,
        "runs/second",
    ]


def test_without_a_name_it_is_the_newest_run(work, capsys):
    assert main(["verify"]) == 0
    said = capsys.readouterr()
    assert "the newest run is 'second'" in said.err
    assert "first" not in said.out


def test_without_any_run_it_is_what_the_settings_name(work, capsys):
    shutil.rmtree("runs")
    assert main(["verify", "--toml", "config.toml"]) == 0
    assert capsys.readouterr().out.count(": sound (") == 3


def test_a_run_that_is_not_there_is_an_error_of_the_user(work):
    assert main(["verify", "third"]) == 2


def flipped(path: Path, place: int = -3) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(content)


FAULTS = {
    "checkpoints/step-000000010/model.safetensors": flipped,
    "checkpoints/step-000000010/optimizer.safetensors": flipped,
    "checkpoints/step-000000010/state.json": Path.unlink,
    "model/model.safetensors": flipped,
    "model/config.json": lambda path: path.write_text('{"format": 1}'),
    "model/tokenizer.json": lambda path: path.write_text(path.read_text() + " "),
    "model": shutil.rmtree,
    "config.toml": lambda path: path.write_text("[train]\nlearning_rat = 1\n"),
    "summary.toml": lambda path: path.write_text("a = 1"),
    "steps.csv": lambda path: path.write_text("a,b\n1,2\n"),
    "epochs.csv": lambda path: path.write_text(path.read_text()[:70]),
    "../../corpus/train-00000.parquet": flipped,
    "../../corpus/other.parquet": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_one_line_that_names_the_file_and_a_way_out(work, capsys, name):
    path = work / "runs" / "first" / name
    FAULTS[name](path)
    assert main(["verify", "first"]) == 1
    lines = capsys.readouterr().out.splitlines()
    faults = [line for line in lines if ": sound (" not in line]
    assert faults
    assert all(path.name in line or "state.json" in name for line in faults)
    assert all(";" in line or "way" in line for line in faults), faults
    assert len(lines) - len(faults) in (2, 3, 0)


def test_rows_that_the_checkpoint_knows_of_must_be_there(work, capsys):
    path = work / "runs" / "first" / "steps.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:9]))
    assert main(["verify", "first"]) == 1
    assert "ends with batch 8, the newest checkpoint knows of 20" in (
        capsys.readouterr().out
    )
    path.write_text("".join([*lines[:4], "1,2,x,,,,,\n", *lines[4:]]))
    assert main(["verify", "first"]) == 1
    assert "steps.csv:5: is no row" in capsys.readouterr().out


def test_json_lists_what_was_looked_at(work, capsys):
    flipped(next(work.glob("encodings-*")) / "test-00000.bin", -4)
    assert main(["verify", "second", "--json"]) == 1
    found = {one["place"]: one for one in json.loads(capsys.readouterr().out)}
    assert len(found) == 4
    assert found["runs/second"]["problems"] == []
    (problem,) = next(v["problems"] for k, v in found.items() if "encodings" in k)
    assert problem.endswith(
        "test-00000.bin: its content has changed; run `slangmod encode` to make it anew"
    )


def test_nothing_is_written(work):
    before = {p: p.stat().st_mtime_ns for p in work.rglob("*")}
    assert main(["verify", "first"]) == 0
    assert {p: p.stat().st_mtime_ns for p in work.rglob("*")} == before
