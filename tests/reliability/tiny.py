"""Raw text and settings of the smallest work that a run can do."""

from pathlib import Path

import tomli_w

BASE = {
    "files": {"raw": "raw"},
    "tokens": {"algo": "byte"},
    "data": {"seq_len": 16, "jitter": 4, "precision": "float32"},
    "model": {
        "dim": 16,
        "n_heads": 2,
        "n_layers": 1,
        "context": 64,
        "compile": False,
    },
    "train": {"batch_size": 8, "warmup": 10, "learning_rate": 0.01},
}
SENTENCE = "the cat sat on a mat and saw the dog that ran after a red ball"


def tiny(**changes: object) -> str:
    """The base as TOML, changed section by section; plain values come first."""
    values = {name: new for name, new in changes.items() if not isinstance(new, dict)}
    for section in {**BASE, **changes}:
        if section not in values:
            values[section] = {**BASE.get(section, {}), **changes.get(section, {})}
    return tomli_w.dumps(values)


def write_raw(folder: Path, train: int, others: int, validation: int = 0) -> None:
    """Raw documents of so many words, the same on each machine."""
    words = SENTENCE.split()
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"train": train, "test": others, "validation": validation or others}
    for name, size in sizes.items():
        text = " ".join(words[(i * i + i // 7) % len(words)] for i in range(size))
        (folder / f"{name}.txt").write_text(text, "utf-8")
