"""How much memory training takes beside the model, and the tokens that it reads.

    python benchmarks/memory.py

Loss: the model of ``training.py`` with a vocabulary of 32 768 tokens takes steps with
slangmod's loss and with the plain one, the cross-entropy of all logits at once, in a
fresh process each. What counts is the highest resident memory of three steps above that
between them, less the gradients: weights, gradients and moments are the model's own.

Tokens: mini-batches are drawn from two corpora, one sixteen times the other, as
slangmod reads them and from ids that are int64 in memory. What counts are bytes per
token, and by how much resident memory grows with the corpus.
"""

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

HERE = Path(__file__).parent
RESULT = HERE / "results" / "memory.json"
VOCAB, GOAL = 32_768, 0.25
OURS, AGAIN, PLAIN = LOSSES = ("slangmod", "slangmod, computing again", "plain")
"""The second computes activations again on the way back, with its own loss."""
SIZES: Final = (8_000_000, 128_000_000)
"""Tokens of the corpora."""
BATCHES: Final = 2000
STATUS, ROLLUP = Path("/proc/self/status"), Path("/proc/self/smaps_rollup")


def entry(path: Path, name: str) -> int:
    """Bytes that a line such as ``VmRSS: 12 kB`` tells."""
    lines = path.read_text("ascii").splitlines()
    return next(int(x.split()[1]) * 1024 for x in lines if x.startswith(f"{name}:"))


def of_loss(loss: str, precision: str, batch: int) -> dict[str, int]:
    """In a fresh process: bytes above the model's own, and the model's own."""
    import torch
    from torch.nn import functional
    from training_models import SEQ
    from training_ours import settings_of

    from slangmod.commands.session import build_objective, new_state
    from slangmod.data.dataset import Batch
    from slangmod.training.device import autocast, reproducible
    from slangmod.training.step import accumulate_gradients, clip_gradients

    device = torch.device("cpu")
    changes = {
        "train.batch_size": batch,
        "train.activation_checkpointing": loss == AGAIN,
    }
    settings = settings_of(precision, False, 1, **changes)
    state = new_state(settings, VOCAB, device)
    model = state.model
    objective = build_objective(settings, state, device)

    def plain(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with autocast(device, precision):
            logits = model(inputs)
        flat = logits.flatten(0, 1).float()
        return functional.cross_entropy(flat, targets.flatten(), reduction="sum")

    chosen = plain if loss == PLAIN else objective
    ids = torch.randint(VOCAB, (batch, SEQ))

    def step() -> None:
        accumulate_gradients(chosen, [Batch(ids, ids)], device, lambda _: None)
        clip_gradients(list(model.parameters()), 1.0)
        state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)

    with reproducible(enabled=True, threads=1):
        step()
        ctypes.CDLL(None).malloc_trim(0)
        between = entry(STATUS, "VmRSS")
        Path("/proc/self/clear_refs").write_text("5", "ascii")
        for _ in range(3):
            step()
    weights = sum(p.numel() for p in model.parameters()) * 4
    peak = entry(STATUS, "VmHWM")
    return {"above": peak - between - weights, "own": 4 * weights, "peak": peak}


def of_tokens(kind: str, path: Path) -> dict[str, int]:
    """In a fresh process: highest memory of ids above that before they were there."""
    import numpy as np
    import torch
    from training_models import BATCH, SEQ

    from slangmod.data.dataset import TokenDataset
    from slangmod.data.rows import ConcatRows
    from slangmod.data.stream import TokenStream

    parts = {"anonymous": "Pss_Anon", "mapped": "Pss_File"}
    before = {part: entry(ROLLUP, name) for part, name in parts.items()}
    highest = dict.fromkeys(parts, 0)
    if kind == "slangmod":
        tokens = TokenStream([path], "<u2")
        rows = ConcatRows(len(tokens), SEQ, SEQ)
        dataset = TokenDataset(tokens, rows, SEQ, BATCH, 0, 1, shuffle=True)
        draw = dataset.batch
    else:
        ids = torch.from_numpy(np.fromfile(path, np.uint16).astype(np.int64))
        chance = torch.Generator().manual_seed(1)

        def draw(_: int) -> Any:
            starts = torch.randint(len(ids) - SEQ, (BATCH,), generator=chance)
            return torch.stack([ids[s : s + SEQ] for s in starts.tolist()])

    for number in range(BATCHES):
        draw(number)
        if number % 20 == 0:
            now = {part: entry(ROLLUP, name) for part, name in parts.items()}
            highest = {part: max(highest[part], now[part]) for part in parts}
    return {part: highest[part] - before[part] for part in parts}


def fresh(*words: str) -> dict[str, int]:
    """What this program says in a process of its own."""
    command = [sys.executable, __file__, *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return figures


def losses() -> dict[str, Any]:
    found = {}
    for precision in ("bfloat16", "float32"):
        for batch in (8, 32):
            both = {
                loss: fresh("--loss", loss, precision, str(batch)) for loss in LOSSES
            }
            plain = both[PLAIN]["above"]
            share = {loss: both[loss]["above"] / plain for loss in (OURS, AGAIN)}
            found[f"{precision}, {batch} rows"] = {**both, "share": share}
            for loss, one in share.items():
                print(f"{precision}, {batch} rows, {loss}: {one:.3f} of the plain loss")
    return found


def tokens() -> dict[str, Any]:
    import numpy as np

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=HERE / "work") as folder:
        for size in SIZES:
            path = Path(folder) / f"{size}.bin"
            ids = np.random.default_rng(1).integers(0, VOCAB, size, np.uint16)
            ids.tofile(path)
            of_size = {
                kind: fresh("--tokens-of", kind, str(path))
                for kind in ("slangmod", "int64 in memory")
            }
            found[f"{size} tokens"] = {
                "bytes_per_token_on_disk": path.stat().st_size / size,
                **{
                    kind: {**one, "bytes_per_token": sum(one.values()) / size}
                    for kind, one in of_size.items()
                },
            }
            path.unlink()
            for kind, one in of_size.items():
                each = ", ".join(f"{part} {n / 1e6:.1f}" for part, n in one.items())
                print(f"{size} tokens, {kind}: {each} MB")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--loss", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--tokens-of", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    if given.loss:
        loss, precision, batch = given.loss
        print(json.dumps(of_loss(loss, precision, int(batch))))
        return
    if given.tokens_of:
        kind, path = given.tokens_of
        print(json.dumps(of_tokens(kind, Path(path))))
        return
    from slangmod.runs.environment import environment

    (HERE / "work").mkdir(exist_ok=True)
    result = {
        "command": "python benchmarks/memory.py",
        "environment": environment("cpu", 1),
        "goal": GOAL,
        "loss": losses(),
        "tokens": tokens(),
    }
    given.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
