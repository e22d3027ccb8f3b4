"""Learning faster: validation loss against tokens, for three ways to train one size.

    python benchmarks/learning/compare.py path/to/tinyshakespeare.txt

(a) ``defaults.toml``, (b) ``fast.toml``, (c) ``gpt2.toml``: equal text, tokens, width
and depth, and so equal parameters but for biases and positions. (b) has five tries and
(c) eight, on one seed; the lowest test loss is chosen and gets two more seeds.
The last 111 540 characters are held out: the first half of them is the test split,
which chooses, and the second half is predicted once, at the end. As many runs as there
are cores go on at a time, one thread each; a run that is there is not repeated. Seconds
are steps times the median time of a step, measured in turns when all runs are done.
What (b) learns from half of the tokens is shown by runs planned for so many.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tomli

from slangmod.runs.environment import environment

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WORK = HERE.parent / "work" / "learning"
RESULT = HERE.parent / "results" / "learning.json"
HELD_OUT = 111_540

Options = tuple[str, ...]


def rates(*values: str) -> list[Options]:
    return [("--train.learning_rate", value) for value in values]


def falling(rate: str) -> Options:
    """A peak rate and a tenth of it to fall to, as nanoGPT has it."""
    least = str(float(rate) / 10)
    return ("--train.learning_rate", rate, "--train.min_learning_rate", least)


TRIES: dict[str, list[Options]] = {
    "defaults": [()],
    "gpt2": [
        falling(rate)
        for rate in ("5e-4", "1e-3", "2e-3", "3e-3", "4e-3", "6e-3", "8e-3", "12e-3")
    ],
    "fast": rates("3e-3", "6e-3", "1e-2", "1.5e-2", "2.5e-2"),
}
SEEDS = (1, 2, 3)
HALF = "fast-half"
"""(b) as it is, its schedule too, but with half as many steps from the beginning."""


def prepare(source: Path) -> None:
    """Cut the text, and encode it."""
    raw = WORK / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    text, half = source.read_text("utf-8"), HELD_OUT // 2
    parts = {
        "train": text[:-HELD_OUT],
        "test": text[-HELD_OUT:-half],
        "validation": text[-half:],
    }
    for name, part in parts.items():
        (raw / f"{name}.txt").write_text(part, "utf-8")
    slangmod("clean", "tokenize", "encode", "--toml", str(HERE / "base.toml"))


def slangmod(*words: str) -> None:
    command = [sys.executable, "-m", "slangmod", *words, "--log_level", "warning"]
    one = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, cwd=ROOT, env=one)


def folder(way: str, number: int, seed: int) -> Path:
    return WORK / "runs" / f"{way}-{number}-seed-{seed}"


def train(way: str, number: int, seed: int) -> Path:
    """-> the folder of a run of try ``number``, trained to its end."""
    run, half = folder(way, number, seed), ()
    if way == HALF:
        way, half = "fast", ("--train.max_steps", "1000", "--train.eval_freq", "50")
    if not (run / "summary.toml").exists():
        words = ("--toml", str(HERE / f"{way}.toml"), "--name", run.name)
        more = ("--seed", str(seed), "--overwrite", *TRIES[way][number], *half)
        slangmod("train", *words, *more)
    return run


def curve(run: Path) -> list[tuple[int, float]]:
    """Target tokens seen, and the test loss then."""
    with (run / "epochs.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return [(int(row["tokens"]), float(row["test_loss"])) for row in rows]


def summary(run: Path) -> dict[str, dict[str, float]]:
    return tomli.loads((run / "summary.toml").read_text("utf-8"))


def first_at(points: list[tuple[int, float]], loss: float) -> float | None:
    """Tokens at which a curve first reaches ``loss``, in between by a straight line."""
    before = None
    for tokens, here in points:
        if here <= loss:
            if before is None:
                return tokens
            share = (before[1] - loss) / (before[1] - here)
            return before[0] + share * (tokens - before[0])
        before = (tokens, here)
    return None


def seconds_a_step(chosen: dict[str, int], rounds: int = 3, steps: int = 60) -> dict:
    """Median seconds of an optimizer step of each way, in turns, on one thread."""
    found: dict[str, list[float]] = {way: [] for way in chosen}
    few = ("--train.max_steps", str(steps), "--train.eval_freq", "9999")
    for _ in range(rounds):
        for way, number in chosen.items():
            words = ("--toml", str(HERE / f"{way}.toml"), "--name", f"time-{way}")
            # Where the schedule would end plays no part: only time counts here.
            more = (*TRIES[way][number], *few, "--overwrite", "--train.cb_freq", "1")
            slangmod("train", *words, *more)
            with (WORK / "runs" / f"time-{way}" / "steps.csv").open() as stream:
                rows = list(csv.DictReader(stream))[10:]
            found[way] += [768 / float(row["tokens_per_second"]) for row in rows]
    return {way: statistics.median(times) for way, times in found.items()}


def main(source: Path) -> None:
    prepare(source)
    with ThreadPoolExecutor(os.cpu_count()) as several:
        tried = [(way, n, 1) for way, tries in TRIES.items() for n in range(len(tries))]
        list(several.map(lambda one: train(*one), tried))
        chosen = {
            way: min(range(len(tries)), key=lambda n: curve(folder(way, n, 1))[-1][1])
            for way, tries in TRIES.items()
        }
        more = [(way, number, s) for way, number in chosen.items() for s in SEEDS[1:]]
        more += [(HALF, chosen["fast"], seed) for seed in SEEDS]
        list(several.map(lambda one: train(*one), more))
    seconds = seconds_a_step(chosen)
    ways = {way: told(way, number, seconds[way]) for way, number in chosen.items()}
    ways[HALF] = told(HALF, chosen["fast"], seconds["fast"])
    goal = ways["gpt2"]["test_loss"]["mean"]
    result = {
        "command": "python benchmarks/learning/compare.py tinyshakespeare.txt",
        "ways": ways,
        "goal": goal,
        "tries": {
            way: [
                {"options": tries[n], "test_loss": curve(folder(way, n, 1))[-1][1]}
                for n in range(len(tries))
            ]
            for way, tries in TRIES.items()
        },
        "reached_by_fast": reached(chosen["fast"], goal, seconds["fast"]),
        "environment": environment("cpu", 1),
    }
    all_tokens = ways["gpt2"]["curve"][-1][0]
    at = result["reached_by_fast"]["tokens"]
    result["share_of_tokens"] = [one and one / all_tokens for one in at]
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    for way, one in ways.items():
        print(way, json.dumps({k: one[k] for k in ("test_loss", "validation_loss")}))
    print(json.dumps({k: result[k] for k in ("goal", "share_of_tokens")}, indent=2))


def reached(number: int, goal: float, seconds: float) -> dict[str, list]:
    """Where each seed of (b) first has the mean last loss of (c)."""
    tokens = [first_at(curve(folder("fast", number, seed)), goal) for seed in SEEDS]
    return {
        "tokens": tokens,
        "seconds": [one and one / 768 * seconds for one in tokens],
    }


def told(way: str, number: int, seconds: float) -> dict:
    """Everything about the chosen try of a way, over its seeds."""
    runs = [folder(way, number, seed) for seed in SEEDS]
    curves = [curve(run) for run in runs]
    last = [points[-1][1] for points in curves]
    # Of the best weights, which is what a run keeps.
    final = [summary(run)["validation"]["loss"] for run in runs]
    return {
        "options": TRIES.get(way, TRIES["fast"])[number],
        "seconds_a_step": seconds,
        "test_loss": {"mean": statistics.mean(last), "of_seeds": last},
        "validation_loss": {
            "mean": statistics.mean(final),
            "spread": statistics.stdev(final),
            "of_seeds": final,
        },
        "curve": [
            (tokens, statistics.mean(points[i][1] for points in curves))
            for i, (tokens, _) in enumerate(curves[0])
        ],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
