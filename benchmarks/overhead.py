"""Measures what of a training step is not forward, backward and optimizer.

    python benchmarks/overhead.py

Real runs of the reference shape (6 layers, dim 256, 8 heads, 8 rows of 256 tokens, a
vocabulary of 4096), a row of steps.csv for each step, everything written as always. In
turns, ROUNDS times, in both precisions:

* a run: the share of its time, evaluations and checkpoints not counted, that went into
  data, logging and rest, as summary.toml tells; the median of its steps, by steps.csv.
* a bare loop: the median of steps that are nothing but forward, backward, clipping and
  the optimizer's step, with batches that are there already.

The claim is the share; that the steps of the two take the same time within what the
machine's noise allows says that nothing hides within the others.
"""

import contextlib
import csv
import json
import logging
import pydoc_data.topics
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from slangmod.cli import main as slangmod
from slangmod.commands.session import open_session
from slangmod.data.shards import check_fresh
from slangmod.runs.directory import RunDir
from slangmod.runs.environment import environment
from slangmod.runs.summary import read_summary
from slangmod.settings import load_settings
from slangmod.settings.sections import Settings
from slangmod.training.chance import seed_batch
from slangmod.training.device import reproducible

RESULT = Path(__file__).parent / "results" / "overhead.json"
ROUNDS = 3
STEPS = 25
WARM_UP = 3
GOAL = 0.02
PRECISIONS = ("bfloat16", "float32")
OVERHEAD = ("data", "logging", "rest")
COUNTED = (*OVERHEAD, "forward_backward", "optimizer")

CONFIG = """
log_level = "error"
progress = false

[files]
raw = "raw"

[tokens]
vocab = 4096

[data]
seq_len = 256

[model]
dim = 256
n_heads = 8
n_layers = 6
context = 256
dropout = 0.0
compile = false

[train]
batch_size = 8
max_steps = {steps}
max_epochs = 1000
eval_freq = 1000000
label_smoothing = 0.0
warmup = 10
"""


def prepare(folder: Path) -> Path:
    """Settings and encodings of the documentation of Python."""
    raw = folder / "raw"
    raw.mkdir()
    topics = list(pydoc_data.topics.topics.values())
    parts = {"train": topics[8:], "test": topics[:4], "validation": topics[4:8]}
    for name, texts in parts.items():
        (raw / f"{name}.txt").write_text("\n".join(texts), "utf-8")
    config = folder / "config.toml"
    config.write_text(CONFIG.format(steps=WARM_UP + STEPS), "utf-8")
    assert slangmod(["clean", "tokenize", "encode", "--toml", str(config)]) == 0
    return config


def run(config: Path, precision: str, name: str) -> dict[str, float]:
    """A real run: the share that is not learning, and the median of its steps."""
    words = ["--name", name, "--data.precision", precision]
    assert slangmod(["train", "--toml", str(config), *words]) == 0
    folder = RunDir.of(config.parent, name)
    cost = read_summary(folder.summary)["cost"]
    seconds = {part: cost[f"{part}_seconds"] for part in COUNTED}
    with folder.steps.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    tokens = [0, *(int(row["tokens"]) for row in rows)]
    steps = [
        (now - before) / float(row["tokens_per_second"])
        for before, now, row in zip(tokens, tokens[1:], rows, strict=False)
    ]
    lost = sum(seconds[part] for part in OVERHEAD)
    return {
        "share": lost / sum(seconds.values()),
        "seconds_per_step": statistics.median(steps[WARM_UP:]),
        **{f"{part}_share": seconds[part] / sum(seconds.values()) for part in COUNTED},
    }


def bare(settings: Settings) -> float:
    """Median seconds of a step of a loop that does nothing else."""
    device = torch.device("cpu")
    with reproducible(True, torch.get_num_threads()):
        session = open_session(settings, check_fresh(settings), device)
        model, optimizer = session.state.model, session.state.optimizer
        batches = [session.train.batch(place) for place in range(WARM_UP + STEPS)]
        weights = list(model.parameters())
        model.train()
        times = []
        for place, batch in enumerate(batches):
            began = time.perf_counter()
            seed_batch(settings.seed, place)
            loss = session.objective(*batch)
            (loss / batch.targets.numel()).backward()
            nn.utils.clip_grad_norm_(weights, settings.train.clip_grad)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            times.append(time.perf_counter() - began)
    return statistics.median(times[WARM_UP:])


def compared(folder: Path) -> dict[str, dict[str, object]]:
    """Runs and bare loops in turns, by precision."""
    config = prepare(folder)
    rounds: dict[str, list[dict[str, float]]] = {one: [] for one in PRECISIONS}
    for number in range(ROUNDS):
        for precision in PRECISIONS:
            found = run(config, precision, f"{precision}-{number}")
            settings = load_settings(config, {"data.precision": precision})
            found["bare_seconds_per_step"] = bare(settings)
            rounds[precision].append(found)
            print(precision, json.dumps(found), flush=True)
    return {precision: summed_up(found) for precision, found in rounds.items()}


def summed_up(rounds: list[dict[str, float]]) -> dict[str, object]:
    """Medians and the best of all rounds."""
    each = {name: [one[name] for one in rounds] for name in rounds[0]}
    ratios = [one["seconds_per_step"] / one["bare_seconds_per_step"] for one in rounds]
    return {
        "share": {
            "median": statistics.median(each["share"]),
            "best": min(each["share"]),
        },
        "run_against_bare_loop": {
            "median": statistics.median(ratios),
            "of_best": min(each["seconds_per_step"])
            / min(each["bare_seconds_per_step"]),
        },
        "rounds": rounds,
    }


def main() -> None:
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        found = compared(Path(name))
    result = {
        "command": "python benchmarks/overhead.py",
        "environment": environment("cpu", torch.get_num_threads()),
        "goal": GOAL,
        "steps": STEPS,
        "precisions": found,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    for precision, figures in found.items():
        print(f"{precision}: {json.dumps(figures['share'])}")


if __name__ == "__main__":
    main()
