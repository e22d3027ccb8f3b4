"""Compares attention that looks at a window with attention that looks at everything.

    python benchmarks/windows.py

A forward and a backward pass of attention alone, with and without dropout, and of a
whole model with dropout, by length of row and precision, in turns. CPU time on one
thread, which other work on the machine disturbs less than wall time; medians and the
best of ROUNDS rounds.
"""

import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from slangmod.commands.session import build_objective, new_state
from slangmod.model.attention import attend
from slangmod.model.sight import sight_of
from slangmod.runs.environment import environment
from slangmod.settings.sections import Settings
from slangmod.training.device import DTYPES

RESULT = Path(__file__).parent / "results" / "windows.json"
CPU = torch.device("cpu")
ROUNDS = 5
WINDOW = 128
DROPOUT = 0.1
HEADS, HEAD, VOCAB = 8, 32, 4096
LENGTHS = (512, 1024, 2048)
TOKENS = 4096
"""Tokens of a mini-batch, whatever the length of its rows."""


def timed(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def attention(
    length: int, window: int | None, precision: str, dropout: float = 0.0
) -> Callable[[], object]:
    """Forward and backward through one attention without its projections."""
    shape = TOKENS // length, HEADS, length, HEAD
    inputs = [torch.randn(shape).to(DTYPES[precision]) for _ in range(3)]
    leaves = [one.requires_grad_() for one in inputs]

    def work() -> None:
        sight = sight_of(window, None, length, length, CPU)
        mixed = attend(*leaves, dropout, sight)
        torch.autograd.grad(mixed, leaves, torch.ones_like(mixed))

    return work


def model(length: int, window: int | None, precision: str) -> Callable[[], object]:
    """Forward and backward of four layers."""
    settings = Settings().replace(
        **{
            "model.dim": HEADS * HEAD,
            "model.n_layers": 4,
            "model.dropout": DROPOUT,
            "model.attention_window": window,
            "data.seq_len": length,
            "data.precision": precision,
        }
    )
    state = new_state(settings, VOCAB, CPU)
    objective = build_objective(settings, state, CPU)
    ids = torch.randint(VOCAB, (TOKENS // length, length))

    def work() -> None:
        objective(ids, ids).backward()
        state.model.zero_grad()

    return work


WORKS = {
    "attention": attention,
    "attention with dropout": partial(attention, dropout=DROPOUT),
    "model with dropout": model,
}


def compared(what: str, length: int, precision: str) -> dict[str, object]:
    """Both ways in turns."""
    works = {
        name: WORKS[what](length, window, precision)
        for name, window in (("all", None), ("window", WINDOW))
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(ROUNDS):
        for name, work in works.items():
            seconds[name].append(timed(work))
    middle = {name: statistics.median(each) for name, each in seconds.items()}
    best = {name: min(each) for name, each in seconds.items()}
    return {
        "what": what,
        "length": length,
        "precision": precision,
        "ratio_of_medians": middle["all"] / middle["window"],
        "ratio_of_best": best["all"] / best["window"],
        "tokens_per_second": {name: TOKENS / one for name, one in middle.items()},
        "seconds": seconds,
    }


def main() -> None:
    torch.set_num_threads(1)
    results = [
        compared(what, length, precision)
        for what in WORKS
        for precision in DTYPES
        for length in LENGTHS
    ]
    content = {
        "command": "python benchmarks/windows.py",
        "environment": environment("cpu", 1),
        "window": WINDOW,
        "results": results,
    }
    RESULT.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    for one in results:
        print(
            f"{one['what']:22} {one['precision']:8} {one['length']:5} tokens: window "
            f"{one['ratio_of_medians']:.2f} times as fast (best: "
            f"{one['ratio_of_best']:.2f})"
        )


if __name__ == "__main__":
    main()
