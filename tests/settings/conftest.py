"""Files of settings in a folder of their own, and an environment without any."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from slangmod.errors import SettingsError


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: empty, and no variable of the environment is a setting."""
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("SLM_")]:
        monkeypatch.delenv(variable)
    return tmp_path


@pytest.fixture
def write(here: Path) -> Callable[[Mapping[str, str]], None]:
    """Writes files by name."""

    def make(contents: Mapping[str, str]) -> None:
        for name, content in contents.items():
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).write_text(content, "utf-8")

    return make


@pytest.fixture
def problems_of() -> Callable[..., tuple[str, ...]]:
    """What ``function`` finds wrong; it must find something."""

    def call(function: Callable[..., object], *args: object) -> tuple[str, ...]:
        with pytest.raises(SettingsError) as caught:
            function(*args)
        assert caught.value.exit_code == 2
        assert all("\n" not in problem for problem in caught.value.problems)
        return caught.value.problems

    return call
