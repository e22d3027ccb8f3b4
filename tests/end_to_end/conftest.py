"""The command line as a user has it, on a small real corpus."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

CONFIG = """\
[files]
raw = "raw"

[tokens]
algo = "bpe"
vocab = 280

[data]
seq_len = 16
jitter = 4
precision = "float32"

[model]
dim = 16
n_heads = 2
n_layers = 2
context = 64
compile = false

[train]
batch_size = 8
step_freq = 2
max_epochs = 3
warmup = 20
learning_rate = 0.01
cb_freq = 2

[checkpoint]
every = 10
"""

ENVIRONMENT = {
    **{key: text for key, text in os.environ.items() if not key.startswith("SLM_")},
    "OMP_NUM_THREADS": "1",
    "COLUMNS": "100",
}


TWELVE_EPOCHS = ("train", "--toml", "config.toml", "--train.max_epochs", "12")


@dataclass(frozen=True)
class Shell:
    """Runs ``slangmod`` in a folder of its own."""

    folder: Path

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "slangmod", *words],
            cwd=self.folder,
            env=ENVIRONMENT,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    def done(self, *words: str, stdin: str = "") -> str:
        """Standard output of a command that must succeed."""
        result = self.run(*words, stdin=stdin)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def interrupted(
        self, words: Sequence[str], ready: Callable[[], bool], number: int
    ) -> tuple[int, str]:
        """Exit code and errors of a command that gets a signal when ``ready``."""
        process = subprocess.Popen(
            [sys.executable, "-m", "slangmod", *words],
            cwd=self.folder,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 120
        while not ready() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.Signals(number))
        _, errors = process.communicate(timeout=120)
        return process.returncode, errors


def make_folder(folder: Path) -> Shell:
    """Fill a folder with config.toml and a few raw documents."""
    (folder / "config.toml").write_text(CONFIG, "utf-8")
    raw = folder / "raw"
    raw.mkdir()
    sentence = "the cat sat on a mat and saw the dog that ran after a red ball"
    words = sentence.split()
    for name, size in (("train", 3000), ("test", 300), ("validation", 300)):
        text = " ".join(words[(i * i + i // 7) % len(words)] for i in range(size))
        (raw / f"{name}.txt").write_text(text, "utf-8")
    return Shell(folder)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder with config.toml and a few raw documents."""
    return make_folder(tmp_path)


@pytest.fixture(scope="session")
def encoded_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a folder with corpus, tokenizer and encodings, made once."""
    shell = make_folder(tmp_path_factory.mktemp("encoded"))
    shell.done("clean", "tokenize", "encode", "--toml", "config.toml")
    return shell.folder


@pytest.fixture(scope="session")
def trained_once(encoded_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a folder with a run called first, made once."""
    folder = tmp_path_factory.mktemp("trained") / "work"
    shutil.copytree(encoded_once, folder)
    Shell(folder).done("train", "--toml", "config.toml", "--name", "first")
    return folder


@pytest.fixture
def encoded(encoded_once: Path, tmp_path: Path) -> Shell:
    """A copy of a folder that is ready to train."""
    shutil.copytree(encoded_once, tmp_path / "work")
    return Shell(tmp_path / "work")


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Shell:
    """A copy of a folder with a trained run called first."""
    shutil.copytree(trained_once, tmp_path / "work")
    return Shell(tmp_path / "work")


@pytest.fixture(scope="session")
def twelve_once(encoded_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run called whole, of twelve epochs, that nothing interrupted."""
    folder = tmp_path_factory.mktemp("twelve") / "work"
    shutil.copytree(encoded_once, folder)
    Shell(folder).done(*TWELVE_EPOCHS, "--name", "whole")
    return folder


@pytest.fixture
def twelve(twelve_once: Path, tmp_path: Path) -> Shell:
    """A copy of that folder."""
    shutil.copytree(twelve_once, tmp_path / "work")
    return Shell(tmp_path / "work")
