"""Compares what ``slangmod plan`` predicts with what ``slangmod train`` then takes.

    python benchmarks/plan.py

Each setting is planned and trained in turn, in processes of their own, on the sources
of Python's standard library. Memory is the peak that summary.toml tells, time the
seconds of training there, evaluations and checkpoints included. Run it on a machine
that does nothing else: a prediction cannot know what others will want.
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


def compare(number: int, vocabulary: str, own: dict[str, object]) -> dict[str, object]:
    """One setting, planned and then trained."""
    settings = {
        **COMMON,
        **VOCABULARIES[vocabulary],
        **own,
        "workdir": WORK / vocabulary,
    }
    load = os.getloadavg()[0]
    plan = json.loads(slangmod("plan", "--json", **settings))
    run = WORK / vocabulary / "runs" / f"plan-{number}"
    shutil.rmtree(run, ignore_errors=True)
    slangmod("train", **settings, name=run.name)
    cost = tomli.loads((run / "summary.toml").read_text("utf-8"))["cost"]
    memory, measured = plan["memory"], cost["peak_memory_bytes"]
    seconds = plan["seconds"]["training"]
    return {
        "settings": {"vocabulary": plan["vocab"], **own},
        "load_before": load,
        "memory": {
            "planned": memory["peak"],
            "planned_without_calibration": memory["estimate"],
            "measured": measured,
            "error": memory["peak"] / measured - 1,
            "error_without_calibration": memory["estimate"] / measured - 1,
        },
        "seconds": {
            "planned": seconds,
            "measured": cost["seconds"],
            "error": seconds / cost["seconds"] - 1,
        },
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
        f"{seconds['error']:+6.1%}  {what}"
    )


def main() -> None:
    make_data()
    print("  plan   train      error (not tried)    plan   train     error  settings")
    results = []
    for number, (vocabulary, own) in enumerate(SETTINGS):
        results.append(compare(number, vocabulary, own))
        print(row(results[-1]), flush=True)
    memory = [one["memory"]["error"] for one in results]
    alone = [one["memory"]["error_without_calibration"] for one in results]
    seconds = [one["seconds"]["error"] for one in results]
    content = {
        "command": "python benchmarks/plan.py",
        "steps": STEPS,
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
