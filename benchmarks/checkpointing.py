"""Measures what activation checkpointing saves of memory, and what it costs of time.

    python benchmarks/checkpointing.py

Each way in processes of its own, in turns, ROUNDS times: STEPS optimizer steps on
random tokens after two that warm up. Memory is the resident peak, less that of a
process without a model, and less weights and moments; beside it stands what ``slangmod
plan`` would foresee for activations. Time is the median step; medians and best of all
rounds.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from slangmod.commands.session import build_objective, new_state
from slangmod.data.dataset import Batch
from slangmod.runs.environment import environment
from slangmod.settings.sections import Settings
from slangmod.training.calibration import one_step
from slangmod.training.compiling import compiled_or_eager
from slangmod.training.device import reproducible
from slangmod.training.memory import STATUS, entry
from slangmod.training.rehearsal import ACTIVATIONS, rehearse

RESULT = Path(__file__).parent / "results" / "checkpointing.json"
CPU = torch.device("cpu")
ROUNDS, STEPS = 3, 5
VOCAB = 4096
SHAPES = {
    "6 layers, 256 tokens": (6, 256, 8),
    "12 layers, 1024 tokens": (12, 1024, 2),
}
"""Layers, length of a row, and rows."""
COMPILED = "6 layers, 256 tokens"
"""The shape that is also measured compiled, which takes long to prepare."""
WAYS = [
    (shape, compiled, again)
    for shape in SHAPES
    for compiled in (False, True)[: 2 if shape == COMPILED else 1]
    for again in (False, True)
]


def settings_of(shape: str, again: bool) -> Settings:
    layers, length, rows = SHAPES[shape]
    return Settings().replace(
        **{
            "model.dim": 256,
            "model.n_layers": layers,
            "data.seq_len": length,
            "train.batch_size": rows,
            "train.activation_checkpointing": again,
        }
    )


def measured(shape: str, compiled: bool, again: bool) -> dict[str, float]:
    """One way, in this process."""
    settings = settings_of(shape, again)
    state = new_state(settings, VOCAB, CPU)
    objective = build_objective(settings, state, CPU)
    ids = torch.randint(VOCAB, (settings.train.batch_size, settings.data.seq_len))
    batch = Batch(ids, ids.roll(-1, 1))
    if compiled:
        parameters = state.model.parameters()
        objective, works = compiled_or_eager(objective, batch, parameters)
        assert works
    for _ in range(2):
        one_step(settings, state, objective, batch, CPU)
    ready = sum(
        tensor.nbytes
        for tensor in (
            *state.model.parameters(),
            *(t for one in state.optimizer.state.values() for t in one.values()),
        )
    )
    before = entry(STATUS, "VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    seconds = []
    for _ in range(STEPS):
        begin = time.perf_counter()
        one_step(settings, state, objective, batch, CPU)
        seconds.append(time.perf_counter() - begin)
    peak = entry(STATUS, "VmHWM")
    assert before is not None
    assert peak is not None
    return {
        "seconds": statistics.median(seconds),
        "peak_bytes": peak,
        "resident_bytes_before": before,
        "state_bytes": ready,
    }


def child(number: int) -> dict[str, float]:
    """One of WAYS, in a process of its own."""
    command = [sys.executable, __file__, str(number)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def idle() -> int:
    """Bytes of a process that has loaded everything, and no model."""
    command = [sys.executable, __file__, "idle"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return int(done.stdout)


def main() -> None:
    if len(sys.argv) > 1:
        with reproducible(enabled=True, threads=torch.get_num_threads()):
            if sys.argv[1] == "idle":
                print(entry(STATUS, "VmRSS"))
            else:
                print(json.dumps(measured(*WAYS[int(sys.argv[1])])))
        return
    rounds = [[child(number) for number in range(len(WAYS))] for _ in range(ROUNDS)]
    process, results = idle(), []
    for number, (shape, compiled, again) in enumerate(WAYS):
        own = [one[number] for one in rounds]
        foreseen = rehearse(settings_of(shape, again), VOCAB, CPU, build_objective)
        peak = statistics.median(one["peak_bytes"] for one in own)
        above = peak - process - own[0]["state_bytes"]
        seconds = [one["seconds"] for one in own]
        results.append(
            {
                "shape": shape,
                "compiled": compiled,
                "activation_checkpointing": again,
                "bytes_above_state": above,
                "foreseen_activation_bytes": foreseen.at_peak[ACTIVATIONS],
                "seconds_of_step": statistics.median(seconds),
                "best_seconds_of_step": min(seconds),
                "rounds": own,
            }
        )
        print(
            f"{shape}, {'compiled' if compiled else 'eager':8}, "
            f"{'again' if again else 'kept':5}: {above / 1e6:6.0f} MB above state "
            f"(activations foreseen: {foreseen.at_peak[ACTIVATIONS] / 1e6:.0f} MB), "
            f"{1000 * statistics.median(seconds):.0f} ms"
        )
    content = {
        "command": "python benchmarks/checkpointing.py",
        "environment": environment("cpu", torch.get_num_threads()),
        "idle_process_bytes": process,
        "results": results,
    }
    RESULT.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
