"""No name and no link leads out of the working directory."""

import json
import shutil
from pathlib import Path

import pytest

from slangmod.cli import main
from slangmod.commands import sweep_report
from slangmod.errors import SlangmodError
from slangmod.runs.directory import RunDir
from tests.reliability.small_work import make_work, train

NAMES = (
    *("..", ".", "", " ", "../x", "../../x", "/x", "/etc/x", "a/b", "a/../b", "./a"),
    *("a/", "/", "\\x", "..\\x", "C:x", "~", "~root", "$HOME", "`id`", "a b", "a\tb"),
    *(
        "a\n",
        "\na",
        "a\x00b",
        "a\x1b[2J",
        "x" * 65,
        "x" * 4096,
        "ä",
        "\uff41",
        "\u0430",
    ),
    *("..\u2215x", "\u2024\u2024/x", "a\u202eb", "a\u200bb", "%2e%2e%2fx", "..%2fx"),
    *("a/trial-001/../../..", "runs/trial-001", "a/trial-1", "../trial-001", "a//b"),
    *(".aside-x", "*", "?", "a;b", "a|b", "-a/..", "a:b", "\ud800", "trial-001/.."),
)
"""None of these is a name for a run."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inside") / "work"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_work(folder)
        assert train("first", "--train.max_steps", "3") == 0
        patch.setattr(sweep_report, "find_spec", lambda _: None)  # no pictures
        assert main([*SEARCH, "--sweep.n_trials", "1"]) == 0
    return folder


@pytest.fixture
def work(made, tmp_path, monkeypatch) -> Path:
    """A working directory beside a folder called outside, which has a file."""
    shutil.copytree(made, tmp_path / "work")
    config = tmp_path / "work" / "runs" / "first" / "config.toml"
    config.write_text(config.read_text().replace(str(made), "."))
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("mine")
    return tmp_path / "work"


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_no_odd_name_makes_a_folder(work, capsys, promise) -> None:
    before = content_of(work.parent)
    for name in NAMES:
        with pytest.raises(SlangmodError):
            RunDir.of(".", name)
        if "\ud800" not in name:
            assert train(name) in (1, 2), name
            assert main(["verify", "--name", name]) == 2, name
    assert content_of(work.parent) == before
    assert len(capsys.readouterr().err.splitlines()) >= len(NAMES)
    promise("R18", len(NAMES))


SEARCH = (
    *("sweep", "--toml", "config.toml", "--name", "search"),
    *("--train.learning_rate", "choice(0.01, 0.02)", "--train.max_steps", "1"),
)

LINKS = {
    "runs": ("train", "--toml", "config.toml", "--name", "new"),
    "runs/new": ("train", "--toml", "config.toml", "--name", "new"),
    "runs/first/checkpoints": ("resume", "--name", "first", "--train.max_steps", "4"),
    "runs/first/model": ("resume", "--name", "first", "--train.max_steps", "4"),
    "runs/first/steps.csv": ("resume", "--name", "first", "--train.max_steps", "4"),
    "runs/first/epochs.csv": ("resume", "--name", "first", "--train.max_steps", "4"),
    "runs/first/train.log": ("resume", "--name", "first", "--train.max_steps", "4"),
    "runs/first/run.lock": ("resume", "--name", "first", "--train.max_steps", "4"),
    "corpus": ("clean", "--toml", "config.toml", "--files.min_doc_len", "2"),
    "encodings": ("encode", "--toml", "config.toml"),
    **{
        f"runs/search/{name}": (*SEARCH, "--sweep.n_trials", "2")
        for name in (
            *("study.journal", "study.journal.lock", "study.journal.turn"),
            *("sweep.lock", "sweep.holder", "sweep.log", "sweep.toml", "best.toml"),
            *("trial-000", "trial-001", ".slangmod.json"),
        )
    },
    "runs/search": (*SEARCH, "--sweep.n_trials", "2"),
    "runs/search/history.svg": ("sweep", "plot", "search"),
}


@pytest.mark.parametrize("name", LINKS)
def test_nothing_is_written_or_deleted_through_a_link(
    work, name, capsys, promise
) -> None:
    path = next(work.glob("encodings-*")) if name == "encodings" else work / name
    target = work.parent / "outside" / "target"
    if path.exists():
        shutil.move(path, target)
    elif "." not in path.name:
        target.mkdir()
    elif name.startswith("runs/search/"):
        target.write_text("mine")
    if name == "encodings":
        (target / "train-00000.bin").write_bytes(b"ab")  # so that it is to be remade
    path.symlink_to(target)
    before = content_of(work.parent / "outside")
    assert main(list(LINKS[name])) in (1, 2)
    assert content_of(work.parent / "outside") == before
    said = capsys.readouterr().err
    assert "link" in said
    assert said.count("error: ") == 1
    assert path.is_symlink()
    promise("R18", 1)


def test_what_is_linked_is_read_and_other_files_of_it_stay(work, promise) -> None:
    """Data may lie elsewhere: a link to a whole folder is the user's own word."""
    outside = work.parent / "outside"
    for path in (work / "corpus", next(work.glob("encodings-*"))):
        shutil.move(path, outside / path.name)
        path.symlink_to(outside / path.name)
    before = content_of(outside)
    assert train("second", "--train.max_steps", "2") == 0
    assert main(["verify", "second"]) == 0
    assert content_of(outside) == before
    promise("R18", 2)


def test_a_shard_that_is_a_link_is_not_read(work, capsys, promise) -> None:
    folder = next(work.glob("encodings-*"))
    outside = work.parent / "outside" / "shard"
    for name in ("train-00000.bin", "test-00000.ends", "token_bytes.bin"):
        path = folder / name
        shutil.move(path, outside)
        path.symlink_to(outside)
        assert train("second") == 2
        assert f"{name}: is no file, or a link" in capsys.readouterr().err
        path.unlink()
        shutil.move(outside, path)
    promise("R18", 3)


def test_a_mark_that_names_files_elsewhere_moves_nothing(work, promise) -> None:
    folder = next(work.glob("encodings-*"))
    mark = folder / ".slangmod.json"
    content = json.loads(mark.read_text())
    content["files"]["../../outside/precious"] = "0" * 64
    content["files"]["/etc/hostname"] = "0" * 64
    mark.write_text(json.dumps(content))
    before = content_of(work.parent / "outside")
    assert main(["encode", "--toml", "config.toml"]) == 0
    assert content_of(work.parent / "outside") == before
    assert json.loads(mark.read_text())["files"].keys() == {
        path.name for path in folder.iterdir() if path != mark
    }
    promise("R18", 2)
