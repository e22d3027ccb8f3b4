"""The losses of 50 steps, step by step, which a change of numerics would change.

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
}
"""Changes to the settings of ``workshop.BASE``."""


def losses(workshop: Any, name: str) -> list[float]:
    """The training losses of all steps of one configuration, nats per token."""
    from tests.reliability.workshop import train

    config = "golden-" + "".join(c for c in name if c.isalnum())
    workshop.add(config, GOLDEN[name])
    run = workshop.new("golden")
    workshop.done(*train(config, run))
    table = workshop.run(run) / "steps.csv"
    with table.open(newline="", encoding="utf-8") as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


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


def read() -> dict[str, list[float]]:
    """What the file holds."""
    content: dict[str, dict[str, list[float]]] = json.loads(FILE.read_text("utf-8"))
    return content["losses"]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
