"""Measures whether filling up the vocabulary to a multiple of 64 makes its loss faster.

    python benchmarks/vocabulary.py

The loss of 2048 hidden states and its gradient, in bfloat16, for vocabularies with and
without a round number of tokens, filled up and not, in turns. CPU time, or wall time on
a GPU if there is one; medians and best of ROUNDS rounds.
"""

import json
import statistics
import time
from pathlib import Path

import torch

from slangmod.runs.environment import environment
from slangmod.training import chunks
from slangmod.training.chunks import Aim, prediction_loss

RESULT = Path(__file__).parent / "results" / "vocabulary.json"
ROUNDS = 9
ROWS, DIM = 2048, 256
VOCABULARIES = (4096, 4097, 32000, 32001)
GRAINS = (1, 64)


def taken(device: torch.device, vocab: int, grain: int) -> float:
    """Seconds of a loss and its gradient."""
    chunks.ROUND[device.type] = grain
    torch.manual_seed(0)
    hidden = torch.randn(1, ROWS, DIM, device=device, requires_grad=True)
    matrix = torch.randn(vocab, DIM, device=device).div_(16).requires_grad_()
    targets = torch.randint(vocab, (1, ROWS), device=device)
    on_gpu = device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    if on_gpu:
        torch.cuda.synchronize()
    begin = clock()
    prediction_loss(hidden, matrix, targets, Aim(0.1), torch.bfloat16).backward()
    if on_gpu:
        torch.cuda.synchronize()
    return clock() - begin


def main() -> None:
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ways = [(vocab, grain) for vocab in VOCABULARIES for grain in GRAINS]
    seconds: dict[tuple[int, int], list[float]] = {way: [] for way in ways}
    for number in range(ROUNDS + 1):
        for way in ways:
            found = taken(device, *way)
            if number:  # the first round only warms up
                seconds[way].append(found)
    results = [
        {
            "vocabulary": vocab,
            "multiple_of": grain,
            "median_seconds": statistics.median(each),
            "best_seconds": min(each),
            "seconds": each,
        }
        for (vocab, grain), each in seconds.items()
    ]
    content = {
        "command": "python benchmarks/vocabulary.py",
        "environment": environment(str(device), 1),
        "results": results,
    }
    RESULT.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    for one in results:
        print(
            f"{one['vocabulary']:6} tokens, multiples of {one['multiple_of']:2}: "
            f"{1000 * one['median_seconds']:.1f} ms "
            f"(best {1000 * one['best_seconds']:.1f})"
        )


if __name__ == "__main__":
    main()
