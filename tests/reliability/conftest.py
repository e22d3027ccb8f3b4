"""Each test here proves a promise, and says by how many trials."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reliability.guarded import Lab, prepare
from tests.reliability.promises import PROMISES


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
