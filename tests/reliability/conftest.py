"""Each test here proves a promise, and says by how many trials."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from slangmod.cli import main
from tests.reliability.guarded import Lab, prepare
from tests.reliability.promises import PROMISES
from tests.reliability.workplace import Here, make_workplace
from tests.reliability.workshop import workshop as workshop
from tests.reliability.workshop import workshops as workshops
from tests.training.conftest import bench as bench

LONG = 1800
"""Seconds that a slow proof may take, for there may be other work on the machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        slow = Path(__file__).parent in item.path.parents and item.get_closest_marker(
            "slow"
        )
        if slow and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG))


@pytest.fixture
def promise(record_property) -> Callable[[str, int], None]:
    """``promise("R1", 200)``: so many trials have shown it; call it at the end."""

    def kept(name: str, trials: int) -> None:
        assert name in PROMISES
        assert trials > 0
        record_property("promise", name)
        record_property("trials", trials)

    return kept


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guarded")
    prepare(folder)
    return folder


@pytest.fixture
def lab(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A folder that is ready to train, some of whose losses can be altered."""
    shutil.copytree(prepared, tmp_path / "lab")
    return Lab(tmp_path / "lab", monkeypatch)


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with raw text, corpus, tokenizer, encodings and a run called first."""
    folder = tmp_path_factory.mktemp("workplace") / "work"
    make_workplace(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ["clean", "tokenize", "encode", "train"]
        assert main([*words, "--toml", "config.toml", "--name", "first"]) == 0
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch, capsys, workplace) -> Here:
    """A copy of that folder, which is the current one."""
    shutil.copytree(workplace, tmp_path / "work", symlinks=True)
    monkeypatch.chdir(tmp_path / "work")
    return Here(tmp_path / "work", capsys)


@pytest.fixture
def nowhere(tmp_path, monkeypatch, capsys) -> Here:
    """A folder with a configuration and raw text, and nothing made of them."""
    make_workplace(tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return Here(tmp_path / "work", capsys)
