"""Searches with benchmarks/sweep.toml by the command line and keeps the result.

    python benchmarks/sweep.py path/to/tinyshakespeare.txt

Twenty trials look for a better learning rate than the default, 0.001; the sweep is
killed once on its way and goes on. Then best.toml is trained by itself, and has to
reach the loss, and the weights, of the best trial bit for bit.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import tomli

HELD_OUT = 20_000
HERE = Path(__file__).parent
CONFIG = "benchmarks/sweep.toml"
WORK = HERE / "work" / "sweep"
RESULT = HERE / "results" / "sweep.json"
SECONDS_BEFORE_THE_KILL = 45
DEFAULT_RATE = 0.001
WEIGHTS = "model/model.safetensors"


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "slangmod", *words]


def done(*words: str) -> None:
    subprocess.run(command(*words), check=True, cwd=HERE.parent)


def outcome_of(run: str) -> dict[str, float]:
    path = WORK / "runs" / run / "summary.toml"
    return dict(tomli.loads(path.read_text("utf-8"))["outcome"])


def split(source: Path) -> None:
    text = source.read_text("utf-8")
    raw = WORK / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, part in (
        ("train", text[: -2 * HELD_OUT]),
        ("test", text[-2 * HELD_OUT : -HELD_OUT]),
        ("validation", text[-HELD_OUT:]),
    ):
        (raw / f"{name}.txt").write_text(part, "utf-8")


def main(source: Path) -> None:
    split(source)
    done("clean", "tokenize", "encode", "--toml", CONFIG)
    done("train", "--overwrite", "--toml", CONFIG, "--name", "default")
    name = time.strftime("sweep-%Y%m%d-%H%M%S")
    words = ("sweep", "--toml", CONFIG, "--name", name)
    began = time.monotonic()
    process = subprocess.Popen(command(*words), cwd=HERE.parent)
    time.sleep(SECONDS_BEFORE_THE_KILL)
    process.kill()
    process.wait()
    done(*words)
    seconds = time.monotonic() - began
    best = WORK / "runs" / name / "best.toml"
    done("train", "--overwrite", "--toml", str(best), "--name", "again")
    report = tomli.loads(best.with_name("sweep.toml").read_text("utf-8"))
    again, default = outcome_of("again"), outcome_of("default")
    trial = WORK / "runs" / report["best"]["run"]
    weights = [
        (folder / WEIGHTS).read_bytes()
        for folder in (trial, best.parent.parent / "again")
    ]
    result = {
        "command": "python benchmarks/sweep.py tinyshakespeare.txt",
        "seconds": seconds,
        "kills": 1,
        "states": [one["state"] for one in report["trial"]],
        "default": {
            "train.learning_rate": DEFAULT_RATE,
            "test_loss": default["best_test_loss"],
        },
        "best": report["best"],
        "best_toml": {
            "test_loss": again["best_test_loss"],
            "same_loss": again["best_test_loss"] == report["best"]["value"],
            "same_weights": weights[0] == weights[1],
        },
        "trials": report["trial"],
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(
        json.dumps(
            {key: result[key] for key in ("default", "best", "best_toml")}, indent=2
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
