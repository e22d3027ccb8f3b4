"""Clean, tokenize and encode may be killed at any instant; a repetition ends alike."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from slangmod.cli import main
from tests.reliability.small_work import CONFIG
from tests.reliability.tiny import write_raw

ACTIONS = ("clean", "tokenize", "encode")
SERVER = """
import os, sys
from slangmod.cli import main
import slangmod.commands.{action}, pyarrow.parquet, tokenizers, numpy
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os._exit(main(["{action}", "--toml", "config.toml"]))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of all files but what a process that died has left aside."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(".aside-" in part for part in path.parts)
    }


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with raw text enough to be at work on for a while."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("config.toml").write_text(CONFIG.replace('"byte"', '"bpe"\nvocab = 300'))
    write_raw(Path("raw"), 20_000, 2_000, 30)
    return tmp_path / "work"


MADE = {
    "clean": ("corpus",),
    "tokenize": ("tokenizer-*", ".tokenizer-*"),
    "encode": ("encodings-*",),
}


def unmake(action: str) -> None:
    """Remove what ``action`` has made in the current folder."""
    for pattern in MADE[action]:
        for path in Path().glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def killed(action: str, kills: int, chance: random.Random) -> int:
    """How often ``action`` was killed before it had ended, in ``kills`` tries."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER.format(action=action)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"},
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    took, deaths = 0.0, 0
    for number in range(kills + 1):
        unmake(action)
        server.stdin.write("go\n")
        server.stdin.flush()
        child, begin = int(server.stdout.readline()), time.monotonic()
        if number:
            time.sleep(chance.uniform(0, took))
            with suppress(ProcessLookupError):  # it was quicker
                os.kill(child, signal.SIGKILL)
        code = int(server.stdout.readline())
        took = took or time.monotonic() - begin
        assert code in (0, -signal.SIGKILL)
        deaths += code != 0
    server.stdin.close()
    server.wait(timeout=30)
    return deaths


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("action", "kills"),
    [
        ("encode", 5),
        pytest.param("encode", 100, marks=SLOW),
        pytest.param("clean", 30, marks=SLOW),
        pytest.param("tokenize", 30, marks=SLOW),
    ],
)
def test_killed_at_any_instant_and_repeated_it_gives_the_same_files(
    work, action, kills, promise
) -> None:
    for one in ACTIONS[: ACTIONS.index(action) + 1]:
        assert main([one, "--toml", "config.toml"]) == 0
    wanted = hashes(work)
    deaths = killed(action, kills, random.Random(action))
    assert deaths >= kills // 4
    assert main([action, "--toml", "config.toml"]) == 0
    assert hashes(work) == wanted
    assert not list(work.rglob(".aside-*/*"))
    promise("R15", deaths)


@SLOW
def test_files_do_not_depend_on_the_number_of_threads(work, promise) -> None:
    found = []
    for threads in ("1", "2", "5"):
        for action in ACTIONS:
            unmake(action)
        subprocess.run(
            [sys.executable, "-m", "slangmod", *ACTIONS, "--toml", "config.toml"],
            env={
                **os.environ,
                "RAYON_NUM_THREADS": threads,
                "OMP_NUM_THREADS": threads,
            },
            stderr=subprocess.DEVNULL,
            check=True,
        )
        found.append(hashes(work))
    assert found[0] == found[1] == found[2]
    promise("R15", len(found))
