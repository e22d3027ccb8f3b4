"""Compares what ``slangmod plan`` predicts with what ``slangmod train`` then takes.

    python benchmarks/plan.py

Each setting is planned and trained in turn, in processes of their own, on the sources
of Python's standard library; all of that ROUNDS times, and medians are compared. Memory
is the peak that summary.toml tells, time the seconds of training there, evaluations and
checkpoints included. ``spread`` is by how much the slowest training of a setting took
longer than its fastest: no prediction can be better than the machine is steady.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
from pathlib import Path

import tomli

from slangmod.runs.environment import environment

HERE = Path(__file__).parent
WORK = HERE / "work" / "plan"
RESULT = HERE / "results" / "plan.json"
STEPS = 30
ROUNDS = 3
MEMORY_WITHIN, TIME_WITHIN = 0.15, 0.20

VOCABULARIES = {
    "byte": {"tokens.algo": "byte"},
    "small": {"tokens.vocab": 2000},
    "large": {"tokens.vocab": 16000},
}
SETTINGS = (
    ("byte", {"model.dim": 128, "data.seq_len": 64, "train.batch_size": 12}),
    ("byte", {"data.seq_len": 512, "model.positions": "rotary", "model.n_layers": 3}),
    ("small", {}),
    ("small", {"train.batch_size": 32}),
    ("small", {"train.batch_size": 32, "data.precision": "float32"}),
    ("small", {"model.dropout": 0, "train.step_freq": 2}),
    ("small", {"model.feedforward.flavor": "glu", "model.norm_cls": "rms"}),
    ("small", {"model.feedforward.flavor": "grn", "train.optimizer": "muon"}),
    ("large", {"model.dim": 128, "data.seq_len": 64, "data.precision": "float32"}),
    ("large", {"model.dim": 512, "model.n_layers": 2, "train.optimizer": "adafactor"}),
)
COMMON = {
    "model.dim": 256,
    "model.n_layers": 4,
    "model.n_heads": 4,
    "data.seq_len": 128,
    "train.batch_size": 8,
    "train.max_steps": STEPS,
    "train.warmup": 10,
    "log_level": "error",
    "progress": "false",
}


def slangmod(*actions: str, **settings: object) -> str:
    flags = [
        word for key, value in settings.items() for word in (f"--{key}", str(value))
    ]
    command = [sys.executable, "-m", "slangmod", *actions, *flags]
    done = subprocess.run(command, check=True, cwd=HERE.parent, stdout=subprocess.PIPE)
    return done.stdout.decode("utf-8")


def make_data() -> None:
    """The sources of the standard library, encoded for each vocabulary."""
    raw = WORK / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    sources = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    text = "".join(path.read_text("utf-8", "replace") for path in sources)[:4_000_000]
    for name, part in (
        ("train", text[:-80_000]),
        ("test", text[-80_000:-40_000]),
        ("validation", text[-40_000:]),
    ):
        (raw / f"{name}.txt").write_text(part, "utf-8")
    for name, tokens in VOCABULARIES.items():
        where = {"workdir": WORK / name, "files.raw": raw, "log_level": "error"}
        slangmod("clean", "tokenize", "encode", **where, **tokens)


Taken = dict[str, list[float]]
"""Figures by name, one of each round."""


def take(number: int, vocabulary: str, own: dict[str, object], taken: Taken) -> None:
    """One setting, planned and then trained; the figures are added to ``taken``."""
    settings = {
        **COMMON,
        **VOCABULARIES[vocabulary],
        **own,
        "workdir": WORK / vocabulary,
    }
    plan = json.loads(slangmod("plan", "--json", **settings))
    run = WORK / vocabulary / "runs" / f"plan-{number}"
    shutil.rmtree(run, ignore_errors=True)
    slangmod("train", **settings, name=run.name)
    cost = tomli.loads((run / "summary.toml").read_text("utf-8"))["cost"]
    for name, figure in (
        ("planned_bytes", plan["memory"]["peak"]),
        ("planned_bytes_without_calibration", plan["memory"]["estimate"]),
        ("bytes", cost["peak_memory_bytes"]),
        ("planned_seconds", plan["seconds"]["training"]),
        ("seconds", cost["seconds"]),
        ("load", os.getloadavg()[0]),
    ):
        taken.setdefault(name, []).append(figure)


def compared(
    vocabulary: str, own: dict[str, object], taken: Taken
) -> dict[str, object]:
    """The medians of all rounds of a setting, and how far they are apart."""
    middle = {name: statistics.median(figures) for name, figures in taken.items()}
    alone = middle["planned_bytes_without_calibration"]
    return {
        "settings": {"vocabulary": vocabulary, **own},
        "memory": {
            "planned": middle["planned_bytes"],
            "planned_without_calibration": alone,
            "measured": middle["bytes"],
            "error": middle["planned_bytes"] / middle["bytes"] - 1,
            "error_without_calibration": alone / middle["bytes"] - 1,
        },
        "seconds": {
            "planned": middle["planned_seconds"],
            "measured": middle["seconds"],
            "error": middle["planned_seconds"] / middle["seconds"] - 1,
            "spread": max(taken["seconds"]) / min(taken["seconds"]) - 1,
        },
        "rounds": taken,
    }


def worst_and_median(errors: list[float]) -> dict[str, float]:
    sizes = [abs(error) for error in errors]
    return {"median": statistics.median(sizes), "worst": max(sizes)}


def row(result: dict[str, object]) -> str:
    memory, seconds = result["memory"], result["seconds"]
    what = ", ".join(f"{key} {value}" for key, value in result["settings"].items())
    return (
        f"{memory['planned'] / 1e6:7.0f} {memory['measured'] / 1e6:7.0f} MB "
        f"{memory['error']:+6.1%} ({memory['error_without_calibration']:+6.1%}) "
        f"{seconds['planned']:7.2f} {seconds['measured']:7.2f} s "
        f"{seconds['error']:+6.1%} ({seconds['spread']:4.0%})  {what}"
    )


def main() -> None:
    make_data()
    taken: list[Taken] = [{} for _ in SETTINGS]
    for done in range(ROUNDS):
        for number, (vocabulary, own) in enumerate(SETTINGS):
            take(number, vocabulary, own, taken[number])
        print(f"round {done + 1} of {ROUNDS} done", file=sys.stderr, flush=True)
    results = [
        compared(*setting, figures)
        for setting, figures in zip(SETTINGS, taken, strict=True)
    ]
    print("  plan   train      error (not tried)    plan   train   error (spread)")
    print("\n".join(map(row, results)))
    memory = [one["memory"]["error"] for one in results]
    alone = [one["memory"]["error_without_calibration"] for one in results]
    seconds = [one["seconds"]["error"] for one in results]
    content = {
        "command": "python benchmarks/plan.py",
        "steps": STEPS,
        "rounds": ROUNDS,
        "memory": {"goal": MEMORY_WITHIN, **worst_and_median(memory)},
        "memory_without_calibration": worst_and_median(alone),
        "seconds": {"goal": TIME_WITHIN, **worst_and_median(seconds)},
        "environment": environment("cpu", int(os.environ.get("OMP_NUM_THREADS", 0))),
        "results": results,
    }
    RESULT.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    print(json.dumps({key: content[key] for key in ("memory", "seconds")}, indent=2))


if __name__ == "__main__":
    main()
