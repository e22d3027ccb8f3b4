"""A folder to go wrong in, and what must hold whenever a command refuses."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slangmod.cli import main
from tests.reliability.tiny import tiny

CONFIG = tiny(
    progress=False,
    data={"device": "cpu"},
    model={"context": 32},
    train={"max_steps": 6, "warmup": 2, "learning_rate": 0.001},
    checkpoint={"every": 2, "keep": 3},
)

ERROR = "slangmod: error: "


class Told(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    errors: list[str]
    """lines of errors, without what they all begin with"""
    rest: str
    """what else it wrote to standard error"""
    out: str
    """what it wrote to standard output"""


def make_workplace(folder: Path) -> None:
    """Fill ``folder`` with config.toml and raw text of all three splits."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(CONFIG, "utf-8")
    (folder / "raw").mkdir()
    for name, size in (("train", 60), ("test", 10), ("validation", 10)):
        text = "".join(f"the {i * i % 7} cats saw {i % 5} dogs\n" for i in range(size))
        (folder / "raw" / f"{name}.txt").write_text(text, "utf-8")


def everything(folder: Path) -> Mapping[str, object]:
    """All there is below ``folder``: where links lead, and what files hold."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = path.readlink()
        elif path.is_file() and os.access(path, os.R_OK):
            found[name] = path.read_bytes()
        else:
            found[name] = path.stat().st_mode
    return found


class Here:
    """The command line in this process and in the current folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def run(self, *words: str) -> Told:
        """What ``slangmod WORDS`` says."""
        self._capsys.readouterr()
        code = main(words)
        said = self._capsys.readouterr()
        lines = said.err.splitlines()
        errors = [one.removeprefix(ERROR) for one in lines if one.startswith(ERROR)]
        rest = "\n".join(one for one in lines if not one.startswith(ERROR))
        return Told(code, errors, rest, said.out)

    def refused(self, *words: str, code: int = 2) -> str:
        """The one line of a refusal; whatever there was must be as it was."""
        before = everything(self.folder)
        told = self.run(*words)
        assert told.code == code, told
        assert len(told.errors) == 1, told
        assert "Traceback" not in told.rest
        assert "unexpected" not in told.errors[0]
        assert everything(self.folder) == before
        return told.errors[0]


def spoilt(path: Path, spoil: Callable[[bytes], bytes]) -> None:
    """Put into ``path`` what ``spoil`` makes of its bytes."""
    path.write_bytes(spoil(path.read_bytes()))


def parquet(table: object) -> Callable[[Path], None]:
    """What writes ``table`` to a path."""
    return lambda path: pq.write_table(pa.table(table), path)


def written(content: bytes) -> Callable[[Path], None]:
    """What writes ``content`` to a path."""
    return lambda path: path.write_bytes(content) and None


def cut(make: Callable[[Path], None], share: float) -> Callable[[Path], None]:
    """What ``make`` writes, broken off after a ``share`` of it."""

    def write(path: Path) -> None:
        make(path)
        spoilt(path, lambda content: content[: int(share * len(content))])

    return write
