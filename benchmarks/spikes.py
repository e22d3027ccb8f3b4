"""Whether clean runs give alarms: the demo's configuration, with seeds 1 to 20.

    python benchmarks/spikes.py [STEPS]

Each run is trained on one thread, its loss written down for each step, and its steps
are then held against those before them as training does (``slangmod.training.course``),
with the default window and with shorter ones, which are stricter. Then each loss is
doubled in turn, to see which would have been noticed. As many runs as there are cores
go on at a time. A run that is there is gone on with, so that STEPS (default 900, all
that the demo takes) may be raised later.
"""

import csv
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from slangmod.commands.demo import demo_settings, prepare
from slangmod.runs.environment import environment
from slangmod.settings.resolved import Resolved
from slangmod.settings.sections import Settings
from slangmod.training.course import LEAST_RISE, Course, Rules, level_of

HERE = Path(__file__).parent
WORK = HERE / "work" / "spikes"
RESULT = HERE / "results" / "spikes.json"
SEEDS = range(1, 21)
WINDOWS = (128, 64, 32, 16)


def train(seed: int, steps: int) -> Path:
    """-> the folder of the run with that seed, of so many steps at least."""
    run = WORK / "runs" / f"seed-{seed}"
    few = ("--train.max_steps", str(steps), "--train.max_time", "none")
    if len(losses_of(run)) >= steps:
        return run
    if run.exists():
        words = ("resume", "--workdir", str(WORK), "--name", run.name, *few)
    else:
        words = (
            *("train", "--base", "preset:demo", "--workdir", str(WORK)),
            *("--name", run.name, "--seed", str(seed), "--threads", "1"),
            *("--train.cb_freq", "1", "--train.eval_freq", "450", *few),
        )
    command = [sys.executable, "-m", "slangmod", *words, "--log_level", "warning"]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return run


def losses_of(run: Path) -> list[float]:
    if not run.exists():
        return []
    with (run / "steps.csv").open(newline="", encoding="utf-8") as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


def alarms(losses: list[float], rules: Rules) -> int:
    course = Course()
    return sum(course.enter(loss, rules) is not None for loss in losses)


def held_against(losses: list[float], window: int) -> dict[str, object]:
    """How near losses come to an alarm, and how many would be noticed if doubled."""
    rules, deviations, rises, noticed = Rules(window=window), [], [], []
    for place in range(window, len(losses)):
        level = level_of(losses[place - window : place])
        deviations.append((losses[place] - level.mean) / level.deviation)
        rises.append(losses[place] / level.mean - 1)
        noticed.append(2 * losses[place] > level.limit(rules.sigma))
    return {
        "steps_judged": len(deviations),
        "alarms": alarms(losses, rules),
        "most_deviations": max(deviations),
        "highest_rise": max(rises),
        "doubled_and_noticed": sum(noticed) / len(noticed),
    }


def main(steps: int) -> None:
    if not (WORK / "runs").exists():
        prepare(demo_settings(Resolved.of(Settings(workdir=str(WORK)), "benchmark")))
    found: dict[str, list[dict[str, object]]] = {str(window): [] for window in WINDOWS}
    lengths = []
    with ThreadPoolExecutor(os.cpu_count()) as several:
        runs = list(several.map(partial(train, steps=steps), SEEDS))
    for run in runs:
        losses = losses_of(run)
        lengths.append(len(losses))
        for window in WINDOWS:
            found[str(window)].append(held_against(losses, window))
    result = {
        "rule": f"mean + max(6 deviations, {LEAST_RISE} of the mean)",
        "seeds": list(SEEDS),
        "steps": lengths,
        "windows": {window: summed(rows) for window, rows in found.items()},
        "environment": environment("cpu", 1),
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result["windows"], indent=2))


def summed(rows: list[dict[str, object]]) -> dict[str, object]:
    """The figures of all runs as one."""
    return {
        "runs": len(rows),
        "steps_judged": sum(int(row["steps_judged"]) for row in rows),
        "alarms": sum(int(row["alarms"]) for row in rows),
        "most_deviations": max(float(row["most_deviations"]) for row in rows),
        "highest_rise": max(float(row["highest_rise"]) for row in rows),
        "doubled_and_noticed": min(float(row["doubled_and_noticed"]) for row in rows),
    }


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 900)
