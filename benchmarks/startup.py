"""Measures the processor time of starting: quick commands, and training to a step.

    python benchmarks/startup.py

Each command is a process of its own; they take turns. "train" is a tiny model without
compile, from the start of the process until its first row is in steps.csv, with all
that comes before: settings, data, model, folder, checkpoint of step 0. It is compared
with ``python -c "import torch"``. Modules are compiled to byte code in the first round
only, as pip does it when it installs a package, whatever the environment says of that.
An editable installation takes some 20 ms more to find the package.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "startup.json"
ROUNDS = 15
GOALS = {"--help": 0.3, "config show": 0.3, "train in imports of torch": 2.0}
TINY = """
[model]
dim = 16
n_heads = 2
n_layers = 2
context = 64
compile = false
[data]
seq_len = 8
[train]
batch_size = 4
max_steps = 50
warmup = 5
[tokens]
algo = "byte"
"""
TRAIN = "--until-the-first-row"


def until_the_first_row(name: str) -> None:
    """Train, and end as soon as the first row of steps.csv is written."""
    from slangmod import cli
    from slangmod.runs.recorders import StepsCsv

    def stop(self: Any, event: Any) -> None:
        write(self, event)
        if type(event).__name__ == "StepDone":
            os._exit(0)

    write = StepsCsv.__call__
    StepsCsv.__call__ = stop  # type: ignore[method-assign]
    cli.main(["train", "--toml", "tiny.toml", "--name", name])
    sys.exit("there was no first row")


def prepared(folder: Path) -> None:
    """A corpus with a tokenizer and encodings."""
    text = "\n\n".join(f"The {n} quick brown foxes jump." for n in range(5000))
    (folder / "raw.txt").write_text(text, "utf-8")
    (folder / "tiny.toml").write_text(f'[files]\nraw = "raw.txt"\n{TINY}', "utf-8")
    words = ["clean", "tokenize", "encode", "--toml", "tiny.toml"]
    subprocess.run([sys.executable, "-m", "slangmod", *words], cwd=folder, check=True)


def seconds_of(words: list[str], folder: Path) -> tuple[float, float]:
    """Processor and wall seconds of a process, its children's included."""
    begin, before = time.perf_counter(), busy_children()
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True
    )
    wall = time.perf_counter() - begin
    assert done.returncode == 0, done.stderr
    return busy_children() - before, wall


def busy_children() -> float:
    """Processor seconds of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    from slangmod.runs.environment import environment

    slangmod = ["-m", "slangmod"]
    commands = {
        "nothing": ["-c", "pass"],
        "--help": [*slangmod, "--help"],
        "--version": [*slangmod, "--version"],
        "config show": [*slangmod, "config", "show"],
        # Training ends as abruptly here, so that neither is charged for tidying up.
        "import torch": ["-c", "import os, torch; os._exit(0)"],
        "train": [str(Path(__file__).resolve()), TRAIN],
    }
    busy: dict[str, list[float]] = {name: [] for name in commands}
    waited: dict[str, list[float]] = {name: [] for name in commands}
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # which some machines set
    with tempfile.TemporaryDirectory() as folder:
        prepared(Path(folder))
        for number in range(ROUNDS):
            for name, words in commands.items():
                more = [f"run-{number}"] if name == "train" else []
                cpu, wall = seconds_of([*words, *more], Path(folder))
                busy[name].append(cpu)
                waited[name].append(wall)
    median = {name: statistics.median(each) for name, each in busy.items()}
    best = {name: min(each) for name, each in busy.items()}
    result = {
        "command": "python benchmarks/startup.py",
        "environment": environment("cpu", 2),
        "goals": GOALS,
        "processor_seconds": median,
        "best_processor_seconds": best,
        "train_in_imports_of_torch": median["train"] / median["import torch"],
        "of_best": best["train"] / best["import torch"],
        "wall_seconds": {n: statistics.median(each) for n, each in waited.items()},
        "each": {"processor": busy, "wall": waited},
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    for name, seconds in median.items():
        print(f"{name}: {seconds:.3f} s of processor time")
    print(f"train: {result['train_in_imports_of_torch']:.2f} imports of torch")


if __name__ == "__main__":
    if sys.argv[1:2] == [TRAIN]:
        until_the_first_row(sys.argv[2])
    main()
