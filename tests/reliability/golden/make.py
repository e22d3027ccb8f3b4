"""The losses of 50 steps, and of evaluations, which a change of numerics would change.

``python tests/reliability/golden/make.py`` writes losses.json anew: do so when a change
is meant, and look at what the file shows of it. Needs nothing but this repository: data
and model are made by the commands themselves, on one thread. There is no dropout, whose
random numbers torch draws in another way on other machines.
"""

import csv
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import tomli

ROOT = Path(__file__).parents[3]
FILE = Path(__file__).with_name("losses.json")
STEPS = 50

COMMON = """
    [model]
    dropout = 0.0

    [train]
    batch_size = 8
    max_epochs = 20
    max_steps = 50
    step_freq = 1
    cb_freq = 1
    warmup = 10
    learning_rate = {rate}
    optimizer = "{optimizer}"

    [checkpoint]
    every = 1000
    """

GLU = """
    [model.feedforward]
    flavor = "glu"
    gate = "swish"
    """

GOLDEN: dict[str, str] = {
    "adamw": COMMON.format(rate=0.001, optimizer="adamw"),
    "adafactor": COMMON.format(rate=0.01, optimizer="adafactor"),
    "muon": COMMON.format(rate=0.001, optimizer="muon"),
    "glu, rms, rotary": COMMON.format(rate=0.001, optimizer="adamw").replace(
        "dropout = 0.0", 'dropout = 0.0\n    norm_cls = "rms"\n    positions = "rotary"'
    )
    + GLU,
    "bfloat16": COMMON.format(rate=0.001, optimizer="adamw")
    + '\n    [data]\n    precision = "bfloat16"\n',
    "accumulated, averaged, smoothed": COMMON.format(
        rate=0.003, optimizer="adamw"
    ).replace(
        "step_freq = 1", "step_freq = 3\n    ema = 0.9\n    label_smoothing = 0.1"
    ),
}
"""Changes to the settings of ``workshop.BASE``."""


def losses(workshop: Any, name: str) -> dict[str, list[float]]:
    """Of one configuration, nats per token: of the rows of steps.csv, of all
    evaluations of the test split, and of the validation at the end."""
    from tests.reliability.workshop import train

    config = "golden-" + "".join(c for c in name if c.isalnum())
    workshop.add(config, GOLDEN[name])
    run = workshop.run(workshop.new("golden"))
    workshop.done(*train(config, run.name))
    evaluations = column(run / "epochs.csv", "test_loss")
    if "ema" in GOLDEN[name]:
        evaluations += column(run / "epochs.csv", "ema_test_loss")
    summary = tomli.loads((run / "summary.toml").read_text("utf-8"))
    return {
        "training": column(run / "steps.csv", "loss"),
        "test": evaluations,
        "validation": [summary["validation"]["loss"]],
    }


def column(table: Path, name: str) -> list[float]:
    """A column of a table."""
    with table.open(newline="", encoding="utf-8") as stream:
        return [float(row[name]) for row in csv.DictReader(stream)]


def main() -> None:
    """Write the file."""
    from importlib.metadata import version

    from slangmod.files import write_json
    from slangmod.runs.environment import cpu_name
    from tests.reliability.workshop import opened

    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder)) as workshop,
    ):
        found = {name: losses(workshop, name) for name in GOLDEN}
    made_by = {
        "torch": version("torch"),
        "python": platform.python_version(),
        "cpu": cpu_name(),
    }
    write_json(FILE, {"made_by": made_by, "losses": found})


def read() -> dict[str, dict[str, list[float]]]:
    """What the file holds."""
    content: dict[str, dict[str, dict[str, list[float]]]] = json.loads(
        FILE.read_text("utf-8")
    )
    return content["losses"]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
