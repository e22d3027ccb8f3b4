"""Measures what trackers cost a training step, and keeps the result.

    python benchmarks/tracking.py [TRACKER ...]

Trackers are those whose packages are installed, unless named. For each there are the
microseconds that the callback takes of the thread that trains, and those of processor
time that the thread that delivers takes, per row of steps.csv: at the default of
``track.every``, and with every row told. They are compared with the step of
benchmarks/tinyshakespeare.toml, a small model whose steps are short.
"""

import json
import logging
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from slangmod.runs.directory import RunDir
from slangmod.runs.trackers import TRACKERS, is_installed, open_tracking
from slangmod.runs.tracking import Tracking
from slangmod.settings.course import nothing_at_hand
from slangmod.settings.sections import Settings
from slangmod.training.events import Progress, StepDone

RESULTS = Path(__file__).parent / "results"
RESULT = RESULTS / "tracking.json"
STEPS_OF = RESULTS / "tinyshakespeare.json"
ROWS = 20_000
STEP = StepDone(1, 1, 1, 640, 2.5, 3e-4, 0.1, 41234.5)
PAUSE = 0.0005
"""Seconds between rows, so that the other thread gets on as it does in training."""


def main(names: list[str]) -> None:
    cost = json.loads(STEPS_OF.read_text("utf-8"))
    seconds = cost["cost"]["seconds"] / cost["outcome"]["steps"]
    result = {
        "command": "python benchmarks/tracking.py",
        "seconds_of_a_step": seconds,
        "rows": ROWS,
        "trackers": {
            name: {f"every {n}": measured(name, n, seconds) for n in (20, 1)}
            for name in names or filter(is_installed, TRACKERS)
        },
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result, indent=2))


def measured(name: str, every: int, seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        run = RunDir.of(folder, "first")
        run.root.mkdir(parents=True)
        settings = Settings.model_validate(
            {"workdir": folder, "track": {"backends": (name,), "every": every}}
        )
        tracking = open_tracking(run, settings, nothing_at_hand)
        told(tracking, range(1, 200))  # opens the store, makes the tables
        time.sleep(20)
        before = time.process_time() - time.thread_time()
        costs = told(tracking, range(200, 200 + ROWS))
        time.sleep(3)
        busy = time.process_time() - time.thread_time() - before
        tracking.close(None)
    return {
        "microseconds_of_training_per_row": 1e6 * sum(costs) / ROWS,
        "worst_microseconds_of_a_row": 1e6 * max(costs),
        "share_of_a_step": sum(costs) / ROWS / seconds,
        "microseconds_of_delivery_per_row": 1e6 * busy / ROWS,
        "share_of_a_step_with_delivery": (sum(costs) + busy) / ROWS / seconds,
    }


def told(tracking: Tracking, numbers: range) -> list[float]:
    """Seconds of this thread that each row took, its step's progress included."""
    costs = []
    for number in numbers:
        row = replace(STEP, step=number, batch=number)
        begin = time.thread_time()
        tracking(row)
        tracking(Progress(number, ROWS, 640 * number, 0.1 * number))
        costs.append(time.thread_time() - begin)
        time.sleep(PAUSE)
    return costs


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    assert threading.active_count() == 1  # all other processor time is delivery's
    main(sys.argv[1:])
