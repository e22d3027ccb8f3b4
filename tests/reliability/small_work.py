"""A small working directory: text, corpus, tokenizer, encodings, and runs in it."""

from pathlib import Path

from slangmod.cli import main
from tests.reliability.tiny import tiny, write_raw

CONFIG = tiny(
    threads=1,
    progress=False,
    model={"dropout": 0.1},
    train={"step_freq": 2, "max_epochs": 2},
    checkpoint={"every": 8},
)
BEHIND = tiny(
    model={"context": 32},
    train={"step_freq": 2, "max_epochs": 3, "warmup": 20, "cb_freq": 2},
    checkpoint={"every": 20},
)
"""Of runs in processes of their own, which say what they do."""
TO_ENCODE = ("clean", "tokenize", "encode", "--toml", "config.toml")


def make_folder(folder: Path) -> Path:
    """``folder`` with a config.toml for such runs, and a few raw documents."""
    write_raw(folder / "raw", 700, 150)
    (folder / "config.toml").write_text(BEHIND, "utf-8")
    return folder


def make_work(folder: Path) -> Path:
    """Fill ``folder``, which must be the current one, up to the encodings."""
    (folder / "config.toml").write_text(CONFIG, "utf-8")
    write_raw(folder / "raw", 300, 30)
    assert main(TO_ENCODE) == 0
    return folder


def train(name: str, *words: str) -> int:
    """Train a run in the current folder; -> exit code."""
    return main(["train", "--toml", "config.toml", "--name", name, *words])
