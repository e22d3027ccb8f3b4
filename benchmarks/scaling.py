"""How much of its speed a device keeps when several train one run together.

    python benchmarks/scaling.py                      two processes, a thread each
    python benchmarks/scaling.py --processes 1        with itself
    python benchmarks/scaling.py --processes 8 --device cuda

Within one launch of torchrun, the first process trains alone while the others wait, and
then all of them train together by ddp, in turns; each has the same number of rows
either way. Tokens are random: nothing is read from disk. The figures are medians, and
the best, of tokens per second and device.

Gradients are counted where they are reduced; a ring that reduces them carries
2 (W - 1) / W times as many bytes from each of W processes. Between processes of one
machine that use gloo, what went over the loopback is measured, too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

from slangmod.commands.session import build_objective, new_state
from slangmod.data.dataset import Batch
from slangmod.parallel.group import backend_for, open_team
from slangmod.parallel.launch import launch_of
from slangmod.parallel.team import Team
from slangmod.runs.environment import environment
from slangmod.settings.sections import Settings
from slangmod.training import strategies
from slangmod.training.device import choose_device, reproducible
from slangmod.training.step import Objective, accumulate_gradients, clip_gradients

RESULT = Path(__file__).parent / "results" / "scaling.json"
ROUNDS, WARM_UP = 7, 2
SEQ_LEN, VOCAB = 256, 8192
SIZES = {"cpu": (256, 6, 4, 3), "cuda": (1024, 24, 16, 10)}
"""Width, layers, rows a device, and steps a turn, by kind of device."""
PRECISIONS = {"cpu": "float32", "cuda": "bfloat16"}


def flags() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--device", choices=sorted(SIZES), default="cpu")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--output", default=str(RESULT))
    return parser.parse_args()


class Bench:
    """A model, random rows, and steps on them."""

    def __init__(self, asked: argparse.Namespace, team: Team) -> None:
        dim, layers, self.rows, self.steps = SIZES[asked.device]
        precision = PRECISIONS[asked.device]
        self.team, self.device = team, choose_device(asked.device, team.seat)
        settings = Settings.model_validate(
            {
                "model": {"dim": dim, "n_layers": layers, "context": SEQ_LEN},
                "data": {"seq_len": SEQ_LEN, "precision": precision},
            }
        )
        self.state = new_state(settings, VOCAB, self.device)
        self.plain = build_objective(settings, self.state, self.device)
        self.weights = list(self.state.model.parameters())
        chance = torch.Generator().manual_seed(team.rank)
        shape = (2, self.rows, SEQ_LEN)
        self.batch = Batch(*torch.randint(0, VOCAB, shape, generator=chance))

    def step(self, objective: Objective, size: int, weight: float) -> None:
        """One optimizer step, of which ``size`` processes have a part each."""
        whole = [size * self.rows * SEQ_LEN]
        accumulate_gradients(
            *(objective, [self.batch], self.device, lambda _: None),
            *(None, whole, nullcontext, weight),
        )
        clip_gradients(self.weights, 1.0)
        self.state.optimizer.step()
        self.state.optimizer.zero_grad(set_to_none=True)

    def turn(self, objective: Objective, size: int, weight: float) -> float:
        """Tokens per second and device, over some steps."""
        begin = time.perf_counter()
        for _ in range(self.steps):
            self.step(objective, size, weight)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return self.steps * self.rows * SEQ_LEN / (time.perf_counter() - begin)

    def compared(self, rounds: int) -> tuple[dict[str, list[float]], list[float]]:
        """Speeds alone and together, and bytes a step over the loopback, by round.

        Only the first process trains alone, and knows how fast it was.
        """
        wrapping = strategies.ddp(self.state.model)
        together = wrapping.around(self.plain)
        speeds: dict[str, list[float]] = {"alone": [], "together": []}
        carried: list[float] = []
        for number in range(WARM_UP + rounds):
            alone = self.turn(self.plain, 1, 1.0) if self.team.leads else 0.0
            self.team.meet()
            before = on_loopback()
            shared = self.turn(together, self.team.size, wrapping.weight)
            total = self.team.sum(torch.tensor(shared, dtype=torch.float64))
            if number >= WARM_UP:
                speeds["alone"].append(alone)
                speeds["together"].append(float(total) / self.team.size)
                share = self.steps * self.team.size
                carried.append((on_loopback() - before) / share)
        return speeds, carried

    def reduced(self) -> int:
        """Bytes of gradients that are reduced in a step, counted by a hook."""
        sizes: list[int] = []

        def count(_: object, bucket: Any) -> Any:
            sizes.append(bucket.buffer().nbytes)
            return default_hooks.allreduce_hook(None, bucket)

        count.__annotations__["bucket"] = dist.GradBucket
        count.__annotations__["return"] = torch.futures.Future[torch.Tensor]
        hooked(count, lambda objective: self.step(objective, 1, 1.0), self)
        return sum(sizes)


def hooked(hook: Callable, act: Callable[[Objective], None], bench: Bench) -> None:
    """Let ``act`` take a step whose buckets of gradients ``hook`` hears of."""
    learner = strategies.Learner(bench.state.model)
    learner.objective = bench.plain
    together = strategies.DistributedDataParallel(learner)
    together.register_comm_hook(None, hook)
    act(together)


def on_loopback() -> int:
    """Bytes that have gone over the loopback since the machine was started."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, numbers = line.partition(":")
        if name.strip() == "lo":
            return int(numbers.split()[8])
    return 0


def worker(asked: argparse.Namespace) -> None:
    """One of the processes; the first writes the result."""
    launch = launch_of(os.environ)
    assert launch is not None
    device = choose_device(asked.device, launch.local_rank)
    one_thread = reproducible(False, 1)
    with one_thread, open_team(launch, device, "auto", 600.0) as team:
        bench = Bench(asked, team)
        speeds, carried = bench.compared(asked.rounds)
        reduced = bench.reduced()
        if team.leads:
            write(result_of(asked, bench, speeds, carried, reduced), asked)


def result_of(
    asked: argparse.Namespace,
    bench: Bench,
    speeds: dict[str, list[float]],
    carried: list[float],
    reduced: int,
) -> dict[str, Any]:
    """All figures of one launch."""
    size, backend = bench.team.size, backend_for(bench.device)
    parameters = sum(weight.numel() for weight in bench.weights)
    ring = 2 * (size - 1) / size
    middle = {name: statistics.median(each) for name, each in speeds.items()}
    best = {name: max(each) for name, each in speeds.items()}
    return {
        "command": f"python benchmarks/scaling.py --processes {size} --device "
        f"{asked.device} --rounds {asked.rounds}",
        "environment": environment(str(bench.device), torch.get_num_threads()),
        "processes": size,
        "backend": backend,
        "precision": PRECISIONS[asked.device],
        "parameters": parameters,
        "rows_per_device": bench.rows,
        "tokens_per_second_and_device": middle,
        "best": best,
        "ratio": middle["together"] / middle["alone"],
        "ratio_of_best": best["together"] / best["alone"],
        "gradient_bytes_per_step_and_device": {
            "reduced": reduced,
            "carried_at_least": parameters * 4 * ring,
            "carried": reduced * ring,
            "on_loopback": statistics.median(carried) if backend == "gloo" else None,
        },
        "rounds": speeds,
    }


def write(result: dict[str, Any], asked: argparse.Namespace) -> None:
    """Keep the result beside those of other numbers of devices, and tell of it."""
    path = Path(asked.output)
    known = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    name = f"{result['processes']} x {asked.device}"
    known[name] = result
    path.write_text(json.dumps(known, indent=2) + "\n", "utf-8")
    moved = result["gradient_bytes_per_step_and_device"]
    print(
        f"{name}: {result['ratio']:.3f} of the speed alone (best "
        f"{result['ratio_of_best']:.3f}); {moved['carried']:.0f} bytes of gradients "
        f"carried a step, at least {moved['carried_at_least']:.0f}"
    )


def main() -> None:
    asked = flags()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        worker(asked)
        return
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    words = [f"--{name}={value}" for name, value in vars(asked).items()]
    subprocess.run(
        [*launcher, f"--nproc-per-node={asked.processes}", __file__, *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
    )


if __name__ == "__main__":
    main()
