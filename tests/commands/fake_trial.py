"""Stands in for `slangmod train` in tests of sweeps: a trial of milliseconds.

What it does is in [extra]: ``ticks`` steps of ``seconds`` each, then ``end``. It keeps
its steps in a file, goes on where it stopped, and refuses to run twice at a time.
"""

import fcntl
import os
import shutil
import signal
import sys
import time
from math import log10
from pathlib import Path

import tomli

from slangmod.search.leash import put_on


def main() -> int:
    words = sys.argv[1:]
    put_on(os.environ)
    file = Path(words[words.index("--toml") + 1])
    settings = tomli.loads(file.read_text("utf-8"))
    run = Path(words[words.index("--workdir") + 1]) / "runs" / settings["name"]
    with (run / "words.txt").open("a") as stream:
        stream.write(" ".join(words[: words.index("--toml")]) + "\n")
    if words[0] == "tokenize":
        return 0
    lock = os.open(run / "run.lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        (run / "twice.txt").write_text("two processes at a time")
        return 3
    (run / "run.holder").write_text("a test")
    shutil.copy(file, run / "config.toml")
    return train(run, settings)


def train(run: Path, settings: dict) -> int:
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    extra, rate = settings.get("extra", {}), settings["train"]["learning_rate"]
    loss = 1 + (log10(rate) + 2) ** 2
    ticks = run / "ticks.txt"
    done = len(ticks.read_text().splitlines()) if ticks.exists() else 0
    while done < extra.get("ticks", 1):
        if stopped:
            return 75
        done += 1
        with ticks.open("a") as stream:
            stream.write(f"{done}\n")
        with (run / "epochs.csv").open("a") as stream:
            stream.write("epoch,test_loss\n" * (done == 1))
            stream.write(f"{done},{loss + 1 / done}\n")
        time.sleep(extra.get("seconds", 0))
    end = extra.get("end", "well")
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "badly":
        sys.stderr.write("some line\nslangmod: error: the loss is not finite\n")
        return 1
    value = f"best_test_loss = {loss}\n" if end == "well" else ""
    (run / "summary.toml").write_text(
        f'[outcome]\nreason = "max_epochs"\n{value}[cost]\nseconds = 1.5\n'
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
