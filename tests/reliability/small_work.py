"""A small working directory: text, corpus, tokenizer, encodings, and runs in it."""

from pathlib import Path

from slangmod.cli import main

CONFIG = """\
threads = 1
progress = false

[files]
raw = "raw"

[tokens]
algo = "byte"

[data]
seq_len = 16
jitter = 4
precision = "float32"

[model]
dim = 16
n_heads = 2
n_layers = 1
context = 64
compile = false
dropout = 0.1

[train]
batch_size = 8
step_freq = 2
max_epochs = 2
warmup = 10
learning_rate = 0.01

[checkpoint]
every = 8
"""
TO_ENCODE = ("clean", "tokenize", "encode", "--toml", "config.toml")


def write_raw(folder: Path, size: int = 300) -> None:
    """Raw documents of ``size`` words, of which train has nine in ten."""
    sentence = "the cat sat on a mat and saw the dog that ran after a red ball"
    words = sentence.split()
    raw = folder / "raw"
    raw.mkdir(exist_ok=True)
    for name, count in (("train", size), ("test", size // 10), ("validation", 30)):
        text = " ".join(words[(i * i + i // 7) % len(words)] for i in range(count))
        (raw / f"{name}.txt").write_text(text, "utf-8")


def make_work(folder: Path) -> Path:
    """Fill ``folder``, which must be the current one, up to the encodings."""
    (folder / "config.toml").write_text(CONFIG, "utf-8")
    write_raw(folder)
    assert main(TO_ENCODE) == 0
    return folder


def train(name: str, *words: str) -> int:
    """Train a run in the current folder; -> exit code."""
    return main(["train", "--toml", "config.toml", "--name", name, *words])
