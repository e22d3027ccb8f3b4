"""Compares how fast slangmod and others train the same model on the same tokens.

    python benchmarks/training.py [--threads 1] [--rounds 7] [--only NAME ...]

Six layers of 256 features and 8 heads, rows of 256 tokens, 8 at a time, 4096 tokens of
vocabulary, no dropout, exact GELU, tied embeddings, AdamW, gradients clipped once per
step, losses logged every 10 steps. Each loop is a process of its own; they take turns
of a few steps while the others wait (training_turns.py), and what counts is the median
of the turns: wall time, or with one thread CPU seconds, which other work on the machine
disturbs less. Our own is all of ``slangmod train`` but checkpoints and evaluations.

Others are: Hugging Face's Trainer as released, run as its documentation says; loops
after nanoGPT and litgpt (training_rivals.py); a plain loop in PyTorch, to which those
written after others are held: relative to it they must reach 95 % of what was measured
for the originals. Needs what benchmarks/requirements.txt lists; what is missing is left
out.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

HERE = Path(__file__).parent
RESULT = HERE / "results" / "training.json"

ROWS: Final = {
    "slangmod bfloat16": ("slangmod", "bfloat16", True),
    "hugging face bfloat16": ("hugging face", "bfloat16", False),
    "hugging face bfloat16 compiled": ("hugging face", "bfloat16", True),
    "nanogpt bfloat16": ("nanogpt", "bfloat16", True),
    "litgpt bfloat16": ("litgpt", "bfloat16", True),
    "plain bfloat16": ("plain", "bfloat16", False),
    "slangmod float32": ("slangmod", "float32", True),
    "hugging face float32": ("hugging face", "float32", False),
    "nanogpt float32": ("nanogpt", "float32", True),
    "litgpt float32": ("litgpt", "float32", True),
    "plain float32": ("plain", "float32", False),
    "slangmod bfloat16 eager": ("slangmod", "bfloat16", False),
}
"""Loop, precision, and whether it is compiled."""

GOALS: Final = {
    "hugging face bfloat16": 1.6,
    "litgpt bfloat16": 1.5,
    "nanogpt bfloat16": 1.25,
    "hugging face float32": 1.15,
    "nanogpt float32": 1.0,
}
"""How many times as fast as these slangmod is to be, of equal precision."""

KNOWN: Final = {
    "nanogpt bfloat16": 1.13,
    "litgpt bfloat16": 0.99,
    "nanogpt float32": 1.05,
    "litgpt float32": 1.06,
}
"""Speed of the originals over that of a plain loop of equal precision, measured on
another machine (CPU seconds, one thread). Across precisions that machine tells nothing
of this one: its bfloat16 units are several times as fast."""
ENOUGH: Final = 0.95


def work_off(row: str, tokens: Path, threads: int) -> None:
    """Be the process of one loop."""
    from training_turns import Turns, be_a_loop

    loop, precision, compiled = ROWS[row]

    def train(turns: Turns) -> None:
        from training_ours import VOCAB, settings_of, slangmod
        from training_rivals import LOOPS, Work

        if loop == "slangmod":
            slangmod(settings_of(precision, compiled, threads), turns)
        else:
            LOOPS[loop](Work(tokens, VOCAB, precision, compiled), turns)

    be_a_loop(train, threads, ours=loop == "slangmod")


def there(rows: Sequence[str]) -> list[str]:
    """The rows that can be measured here; says which cannot."""
    packages = ("transformers", "accelerate")
    if all(importlib.util.find_spec(package) for package in packages):
        return list(rows)
    print("Hugging Face is left out: transformers and accelerate are not installed")
    return [row for row in rows if ROWS[row][0] != "hugging face"]


def compared(speeds: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """How many times as fast as each of the others slangmod is, of equal precision."""
    ratios = {}
    for row in speeds:
        loop, precision, _ = ROWS[row]
        ours = speeds.get(f"slangmod {precision}")
        if loop == "slangmod" or ours is None:
            continue
        goal = GOALS.get(row)
        middle = ours["median"] / speeds[row]["median"]
        ratios[row] = {
            "median": middle,
            "best": ours["best"] / speeds[row]["best"],
            "goal": goal,
            "reached": None if goal is None else middle >= goal,
        }
    return ratios


def held_to(speeds: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Whether what was written after others is as fast as they are."""
    checks = {}
    for row, known in KNOWN.items():
        plain = speeds.get(f"plain {ROWS[row][1]}")
        if row in speeds and plain is not None:
            reached = speeds[row]["median"] / plain["median"]
            checks[row] = {
                "over_plain": reached,
                "original_over_plain": known,
                "sound": reached >= ENOUGH * known,
            }
    return checks


def report(result: Mapping[str, Any]) -> None:
    for name, row in result["tokens_per_second"].items():
        print(f"{name:32} {row['median']:8.0f} {row['best']:8.0f} tokens/s")
    for name, ratio in result["times_as_fast_as"].items():
        goal = "" if ratio["goal"] is None else f"  (goal {ratio['goal']})"
        print(f"{ratio['median']:.2f}, best {ratio['best']:.2f} times {name}{goal}")
    for name, check in result["held_to_plain"].items():
        word = "sound" if check["sound"] else "TOO SLOW"
        known = check["original_over_plain"]
        print(f"{name}: {check['over_plain']:.2f} of plain, known {known}: {word}")


def main() -> None:
    from training_models import BATCH, SEQ
    from training_ours import prepare, settings_of
    from training_turns import arguments, figures, take_turns

    from slangmod.runs.environment import environment, version_of

    given = arguments(__doc__, RESULT, list(ROWS)).parse_args()
    if given.row:
        work_off(given.row, given.tokens, given.threads)
        return
    tokens = prepare(settings_of("float32", False, given.threads))
    loops = take_turns(there(given.only or list(ROWS)), given, __file__, tokens)
    speeds = {loop.name: figures(loop, given.measure, BATCH * SEQ) for loop in loops}
    rivals = ("transformers", "accelerate")
    result = {
        "command": " ".join(["python benchmarks/training.py", *sys.argv[1:]]),
        "environment": environment("cpu", given.threads)
        | {package: version_of(package) for package in rivals},
        "measure": given.measure,
        "load": os.getloadavg(),
        "tokens_per_second": speeds,
        "times_as_fast_as": compared(speeds),
        "held_to_plain": held_to(speeds),
    }
    given.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    report(result)


if __name__ == "__main__":
    main()
