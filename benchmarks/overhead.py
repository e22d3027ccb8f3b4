"""What share of a training step is not forward, backward or optimizer.

    python benchmarks/overhead.py [--threads 1] [--steps 100]

Training as ``training.py`` has it, with every loss logged, and the model of the demo,
whose steps are short. Forward is the compiled objective, backward its gradients, the
optimizer clips and takes the step; all else is what a step costs beside: data, guard,
counters, tables, progress. Figures are medians over turns of ten steps, in wall time.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from unittest import mock

RESULT = Path(__file__).parent / "results" / "overhead.json"
GOAL: Final = 0.02
TURN, WARM_UP = 10, 10

MODELS: Final[dict[str, dict[str, Any]]] = {
    "reference": {"train.cb_freq": 1},
    "demo": {
        "train.cb_freq": 1,
        "tokens.vocab": 2048,
        "data.seq_len": 128,
        "model.dim": 128,
        "model.n_heads": 4,
        "model.n_layers": 4,
        "model.context": 128,
        "model.dropout": 0.1,
    },
}


class OverError(Exception):
    """Enough has been measured."""


class Stopwatch:
    """Adds up the time that functions take, by kind of work."""

    def __init__(self) -> None:
        self.seconds = {"forward": 0.0, "backward": 0.0, "optimizer": 0.0}
        self.turns: list[dict[str, float]] = []
        self._steps = 0
        self._began = time.perf_counter()

    def watching(self, kind: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return work(*given, **named)
            finally:
                self.seconds[kind] += time.perf_counter() - began

        return watched

    def step_done(self, _loss: float | None) -> None:
        self._steps += 1
        if self._steps % TURN:
            return
        now = time.perf_counter()
        self.turns.append({"whole": now - self._began, **self.seconds})
        self.seconds = dict.fromkeys(self.seconds, 0.0)
        self._began = now


def measured(model: str, threads: int, steps: int) -> dict[str, Any]:
    """Milliseconds of a step by kind, and the share of what is none of them."""
    import torch
    from training_ours import prepare, settings_of, slangmod

    from slangmod.training import trainer

    settings = settings_of("bfloat16", True, threads, **MODELS[model])
    prepare(settings)
    watch = Stopwatch()

    def around(session: Any, objective: Any) -> Any:
        optimizer = session.state.optimizer
        optimizer.step = watch.watching("optimizer", optimizer.step)
        return watch.watching("forward", objective)

    def step_done(loss: float | None) -> None:
        watch.step_done(loss)
        if len(watch.turns) * TURN >= WARM_UP + steps:
            raise OverError

    clip = watch.watching("optimizer", trainer.clip_gradients)
    backward = watch.watching("backward", torch.Tensor.backward)
    with (
        mock.patch.object(trainer, "clip_gradients", clip),
        mock.patch.object(torch.Tensor, "backward", backward),
        suppress(OverError),
    ):
        slangmod(settings, step_done, around)
    turns = watch.turns[WARM_UP // TURN :]
    middle = {
        kind: statistics.median(turn[kind] for turn in turns) / TURN * 1e3
        for kind in turns[0]
    }
    shares = [
        1 - sum(turn[kind] for kind in watch.seconds) / turn["whole"] for turn in turns
    ]
    return {
        "milliseconds": middle,
        "share_of_all_else": statistics.median(shares),
        "shares": shares,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    from slangmod.libraries import prepare
    from slangmod.runs.environment import environment

    prepare(os.environ)
    found = {model: measured(model, given.threads, given.steps) for model in MODELS}
    result = {
        "command": " ".join(["python benchmarks/overhead.py", *sys.argv[1:]]),
        "environment": environment("cpu", given.threads),
        "goal": GOAL,
        "load": os.getloadavg(),
        "models": found,
    }
    given.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    for model, figures in found.items():
        print(f"{model}: {figures['share_of_all_else']:.2%} of a step is all else")


if __name__ == "__main__":
    main()
