"""Whether what is on disk is as it was written, in one line for each fault."""

import json
import re
import shutil
from pathlib import Path

import pytest

from slangmod.cli import main
from tests.cases import mostly_slow
from tests.reliability.small_work import make_work, train

UPHILL = (
    *("--train.learning_rate", "0.5", "--train.max_epochs", "20"),
    *("--train.patience", "2", "--checkpoint.keep", "1"),
)
"""Of a run whose best checkpoint, of step 20, is not its newest, of step 30."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verified") / "work"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_work(folder)
        assert train("first", "--train.ema", "0.9") == 0
        assert train("second", "--train.max_steps", "3") == 0
        assert train("third", *UPHILL) == 0
    return folder


@pytest.fixture
def work(made, tmp_path, monkeypatch) -> Path:
    """A copy of a folder with three runs, moved from a place that is gone."""
    shutil.copytree(made, tmp_path / "work")
    for name in ("first", "second", "third"):
        config = tmp_path / "work" / "runs" / name / "config.toml"
        config.write_text(config.read_text().replace(str(made), "/gone"))
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
    assert "the newest run is 'third'" in said.err
    assert "first" not in said.out


def test_without_any_run_it_is_what_the_settings_name(work, capsys):
    shutil.rmtree("runs")
    assert main(["verify", "--toml", "config.toml"]) == 0
    assert capsys.readouterr().out.count(": sound (") == 3


def test_a_run_that_is_not_there_is_an_error_of_the_user(work):
    assert main(["verify", "fourth"]) == 2


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
    "model/.slangmod.json": Path.unlink,
    "model/tokenizer.json": lambda path: path.write_text(path.read_text() + " "),
    "model": shutil.rmtree,
    "config.toml": lambda path: path.write_text("[train]\nlearning_rat = 1\n"),
    "summary.toml": lambda path: path.write_text("a = 1"),
    "steps.csv": lambda path: path.write_text("a,b\n1,2\n"),
    "epochs.csv": lambda path: path.write_text(path.read_text()[:70]),
    "../../corpus/train-00000.parquet": flipped,
    "../../corpus/other.parquet": lambda path: path.write_bytes(b""),
}


def faults(capsys, *names: str) -> list[str]:
    """The lines of what is wrong with the runs of these names."""
    capsys.readouterr()
    code = main(["verify", *names])
    lines = capsys.readouterr().out.splitlines()
    found = [line for line in lines if ": sound (" not in line]
    assert code == bool(found)
    return found


def follow(line: str, path: Path) -> None:
    """Do what a line says; it must be possible, and end well."""
    way = line.partition("; ")[2]
    if "that folder" in way:
        shutil.rmtree(path.parent)
    elif found := re.search(r"move (it|\S+) away|remove (\S+)$", way):
        place = Path(found[2] or found[1])
        shutil.rmtree(place) if place.is_dir() else path.unlink()
    commands = re.findall("`slangmod ([^`]*)`", way)
    if commands:
        words = commands[-1].replace(" N", " 60").split()
        toml = () if "resume" in words else ("--toml", "config.toml")
        assert main([*words, *toml]) == 0


WITHOUT = {
    "config.toml": "mend that line",
    "steps.csv": "backup",
    "epochs.csv": "backup",
}
"""What no command mends, and what is said then."""


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_one_line_whose_way_out_leads_out(work, capsys, name):
    path = work / "runs" / "first" / name
    FAULTS[name](path)
    lines = faults(capsys, "first")
    assert lines
    assert all(path.name in line or "state.json" in name for line in lines)
    if name in WITHOUT:
        assert all(WITHOUT[name] in line for line in lines)
        return
    follow(lines[0], path.resolve())
    assert faults(capsys, "first") == []


def test_a_newer_checkpoint_of_another_format_is_one_line(work, capsys):
    path = work / "runs" / "first" / "checkpoints" / "step-000000010" / "manifest.json"
    path.write_text("{}")
    (line,) = faults(capsys, "first")
    assert "`slangmod resume --name first` goes on from step-" in line


def unfinished(run: Path) -> None:
    """As if it had been killed before its summary."""
    (run / ".sums.json").unlink()
    (run / "summary.toml").unlink()
    shutil.rmtree(run / "model")


@pytest.mark.parametrize("ended", mostly_slow([True, False], [False]))
@pytest.mark.parametrize(
    "harm", [shutil.rmtree, lambda path: flipped(path / "model.safetensors")]
)
def test_the_best_checkpoint_must_be_there_and_sound(work, capsys, ended, harm):
    run = work / "runs" / "third"
    if not ended:
        unfinished(run)
    harm(run / "checkpoints" / "step-000000020")
    (line,) = faults(capsys, "third")
    assert "step-000000020" in line
    assert ("--train.patience N" in line) == ended
    if ended:
        follow(line, run)  # to where the damaged one is no longer the best
        for rest in faults(capsys, "third"):
            assert "nothing needs it" in rest
            follow(rest, run)
        assert faults(capsys, "third") == []


def test_a_damaged_checkpoint_that_nobody_needs_can_go(work, capsys):
    checkpoints = work / "runs" / "third" / "checkpoints"
    old = checkpoints / "step-000000006"
    shutil.copytree(checkpoints / "step-000000020", old)  # under another's name
    lines = faults(capsys, "third")
    assert len(lines) == 1
    follow(lines[0], old)
    assert faults(capsys, "third") == []


def test_settings_that_resume_refuses_are_faults(work, capsys):
    config = work / "runs" / "second" / "config.toml"
    lines = config.read_text().splitlines()
    changed = [
        "learning_rate = 0.5" if "learning_rate = 0.01" in x else x for x in lines
    ]
    config.write_text("\n".join(changed))
    (line,) = faults(capsys, "second")
    assert "train.learning_rate is now 0.5, the run has 0.01" in line
    more = ("resume", "--name", "second", "--train.max_steps", "5")
    assert main(more) == 2
    assert main([*more, *line.partition("; ")[2].split()[:2]]) == 0
    assert faults(capsys, "second") == []


def test_encodings_of_other_text_are_a_fault_of_the_run(work, capsys):
    raw = work / "raw" / "validation.txt"
    raw.write_text(raw.read_text() + " and more")
    assert main(["clean", "--toml", "config.toml"]) == 0
    (stale,) = faults(capsys, "second")
    assert "was made from another corpus" in stale
    follow(stale, work)
    (line,) = faults(capsys, "second")
    assert "are not those that the run began with; --allow-change data" in line
    assert main(["resume", "--name", "second", "--train.max_steps", "5"]) == 2
    words = ("--train.max_steps", "5", "--allow-change", "data")
    assert main(["resume", "--name", "second", *words]) == 0
    assert faults(capsys, "second") == []


def test_encodings_without_their_mark_are_a_fault(work, capsys):
    (folder,) = work.glob("encodings-*")
    (folder / ".slangmod.json").unlink()
    (line,) = faults(capsys, "second")
    assert main(["resume", "--name", "second"]) == 2
    assert (
        "/.slangmod.json: is missing, broken or not readable; "
        in capsys.readouterr().err
    )
    follow(line, folder)
    assert faults(capsys, "second") == []


def test_rows_that_the_checkpoint_knows_of_must_be_there(work, capsys):
    path = work / "runs" / "first" / "steps.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:9]))
    assert (
        "ends with batch 8, the newest checkpoint knows of 20"
        in (faults(capsys, "first")[0])
    )
    path.write_text("".join([*lines[:4], "1,2,x,,,,,\n", *lines[4:]]))
    assert "steps.csv:5: is no row" in faults(capsys, "first")[0]
    for lost, last in ((1, 0), (5, 4), (19, 18)):
        path.write_text("".join([*lines[:lost], *lines[lost + 1 :]]))
        said = f"steps.csv:{lost + 1}: batch {last + 2} follows {last}, rows between"
        assert said in faults(capsys, "first")[0]
    path.unlink()
    assert "steps.csv: is missing" in faults(capsys, "first")[0]


def test_no_epoch_may_be_missing(work, capsys):
    path = work / "runs" / "third" / "epochs.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], *lines[4:]]))
    assert "epochs.csv:4: epoch 4 follows 2" in faults(capsys, "third")[0]


def test_a_table_that_was_lost_before_a_resume_is_known_to_be(work, capsys):
    (work / "runs" / "second" / "steps.csv").unlink()
    assert main(["resume", "--name", "second", "--train.max_steps", "5"]) == 0
    (line,) = faults(capsys, "second")
    assert "steps.csv:2: batch 7 follows 0" in line


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


def test_settings_that_are_gone_are_told_where_their_encodings_are_too(
    work, capsys
) -> None:
    (work / "runs" / "first" / "config.toml").write_text("")
    lines = faults(capsys, "first")
    assert any("model.dim is now" in line and "the run has" in line for line in lines)
