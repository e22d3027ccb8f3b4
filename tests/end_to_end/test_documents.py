"""Windows, masked documents and recomputed activations by the command line."""

import csv
from pathlib import Path

import pytest

ALL = """\
base = "config.toml"

[data]
packing = "mask"

[model]
positions = "learnable"
attention_window = 5

[train]
activation_checkpointing = true
"""


def rows(path: Path) -> list[list[str]]:
    """A table without what depends on the clock."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [row[:7] for row in csv.reader(stream)]


@pytest.mark.slow
def test_a_run_with_all_of_them_trains_resumes_and_writes(encoded) -> None:
    """Also with the activations kept: another amount of memory, the same bits."""
    (encoded.folder / "all.toml").write_text(ALL, "utf-8")
    config = ("--toml", "all.toml")
    encoded.done("train", *config, "--name", "whole")
    encoded.done("train", *config, "--name", "two", "--train.max_epochs", "1")
    kept = ("--train.activation_checkpointing", "false")
    allowed = ("--allow-change", "train.activation_checkpointing")
    more = ("--train.max_epochs", "3", *kept, *allowed)
    encoded.done("resume", "--name", "two", *more)
    encoded.done("train", *config, "--name", "kept", *kept)
    whole = encoded.folder / "runs" / "whole"
    for other in ("two", "kept"):
        run = encoded.folder / "runs" / other
        assert rows(run / "steps.csv") == rows(whole / "steps.csv")
        for name in ("model.safetensors", "config.json"):
            left, right = (one / "model" / name for one in (run, whole))
            assert left.read_bytes() == right.read_bytes()
    greedy = ("generate", "the cat", "--name", "whole", "--chat.max_tokens", "9")
    assert encoded.done(*greedy) == encoded.done(*greedy)
    assert "perplexity" in encoded.done("evaluate", "--name", "whole")
    assert "activations" in encoded.done("plan", *config, "--no-calibration")
