"""Compares training with what slangmod 0.1 did, in the setting that it was slow in.

    python benchmarks/earlier.py [--threads 1] [--rounds 7]

Four layers of 128 features and 8 heads, rows of 128 tokens, 16 at a time, 2048 tokens
of vocabulary, dropout and label smoothing 0.1, which were and are the defaults. Ours
computes in its default precision, bfloat16, and beside that in float32, which was all
that 0.1 could. The other side is a plain loop in PyTorch that does what 0.1 did: logits
are transposed to [batch, vocab, seq] and copied, gradients are clipped for each
mini-batch, and three numbers are waited for in each step. Processes take turns as in
training.py.
"""

import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

HERE = Path(__file__).parent
RESULT = HERE / "results" / "earlier.json"
LAYERS, DIM, HEADS, SEQ, BATCH, VOCAB = 4, 128, 8, 128, 16, 2048
GOAL: Final = 2.5
KINDS: Final = ("median", "best")

ROWS: Final = {
    "slangmod": ("slangmod", 0.1, "bfloat16"),
    "slangmod float32": ("slangmod", 0.1, "float32"),
    "earlier": ("earlier", 0.1, "float32"),
    "earlier compiled": ("earlier compiled", 0.1, "float32"),
    "slangmod without dropout": ("slangmod", 0.0, "bfloat16"),
    "earlier without dropout": ("earlier", 0.0, "float32"),
}
"""Loop, dropout, and precision. Ours is compiled."""
COMPARED: Final = (
    ("slangmod", "earlier"),
    ("slangmod float32", "earlier"),
    ("slangmod", "earlier compiled"),
    ("slangmod float32", "earlier compiled"),
    ("slangmod without dropout", "earlier without dropout"),
)


def settings(dropout: float, precision: str, threads: int) -> Any:
    from training_ours import settings_of

    return settings_of(
        precision,
        True,
        threads,
        **{
            "tokens.vocab": VOCAB,
            "data.seq_len": SEQ,
            "model.dim": DIM,
            "model.n_heads": HEADS,
            "model.n_layers": LAYERS,
            "model.context": SEQ,
            "model.positions": "vanilla",
            "model.dropout": dropout,
            "train.batch_size": BATCH,
            "train.label_smoothing": 0.1,
            "train.clip_grad": 0.6,
            "train.cb_freq": 1,
        },
    )


def build_model(dropout: float) -> Any:
    """The model of 0.1: what is added up is normalised, logits have the rows last."""
    import torch
    from torch import Tensor, nn
    from torch.nn import functional

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm_1, self.norm_2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
            self.qkv = nn.Linear(DIM, 3 * DIM, bias=False)
            self.out = nn.Linear(DIM, DIM, bias=False)
            self.up = nn.Linear(DIM, 4 * DIM, bias=False)
            self.down = nn.Linear(4 * DIM, DIM, bias=False)
            self.drop = nn.Dropout(dropout)

        def forward(self, x: Tensor) -> Tensor:
            parts = self.qkv(self.norm_1(x)).view(*x.shape[:2], 3, HEADS, DIM // HEADS)
            q, k, v = parts.permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(
                q, k, v, dropout_p=dropout, is_causal=True
            )
            x = self.norm_2(x + self.drop(self.out(mixed.transpose(1, 2).flatten(2))))
            return x + self.drop(self.down(functional.gelu(self.up(x))))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(VOCAB, DIM, scale_grad_by_freq=True)
            nn.init.uniform_(self.tokens.weight, -(DIM**-0.5), DIM**-0.5)
            angles = torch.arange(SEQ)[:, None] / 1e4 ** (torch.arange(0, DIM, 2) / DIM)
            waves = torch.stack((angles.sin(), angles.cos()), -1).flatten(1)
            self.register_buffer("waves", waves)
            self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
            self.norm, self.drop = nn.LayerNorm(DIM), nn.Dropout(dropout)

        def forward(self, ids: Tensor) -> Tensor:
            x = self.drop(self.tokens(ids) * math.sqrt(DIM) + self.waves)
            for layer in self.layers:
                x = layer(x)
            logits = functional.linear(self.norm(x), self.tokens.weight)
            return logits.transpose(-1, -2).contiguous()

    return Model()


def earlier(tokens: Path, dropout: float, compiled: bool, turns: Any) -> None:
    """The loop of 0.1: tokens are int64 in memory, and each step is waited for."""
    import numpy as np
    import torch
    from torch import nn

    ids = torch.from_numpy(np.fromfile(tokens, np.uint16).astype(np.int64))
    rows = ids[: len(ids) // (SEQ + 1) * (SEQ + 1)].view(-1, SEQ + 1)
    model = build_model(dropout)
    trained = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 100)
    )
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    average, clip, at = math.log(VOCAB), 0.6, 0
    with tempfile.TemporaryFile("w") as table:
        while True:
            batch = rows[at : at + BATCH]
            at = (at + BATCH) % (len(rows) - BATCH)
            loss = criterion(trained(batch[:, :-1]), batch[:, 1:])
            loss.backward()
            norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            average = 0.5 * (loss.item() + average)
            rate = schedule.get_last_lr()[0]
            table.write(f"{average:7.5f}, {rate:7.5f}, {norm.item():7.5f}\n")
            turns(loss.item())


def work_off(row: str, tokens: Path, threads: int) -> None:
    """Be the process of one loop."""
    from training_turns import Turns, be_a_loop

    loop, dropout, precision = ROWS[row]

    def train(turns: Turns) -> None:
        from training_ours import slangmod

        if loop == "slangmod":
            slangmod(settings(dropout, precision, threads), turns)
        else:
            earlier(tokens, dropout, loop.endswith("compiled"), turns)

    be_a_loop(train, threads, ours=loop == "slangmod")


def main() -> None:
    from training_ours import prepare
    from training_turns import arguments, figures, take_turns

    from slangmod.runs.environment import environment

    parser = arguments(__doc__, RESULT, list(ROWS))
    given = parser.parse_args()
    if given.row:
        work_off(given.row, given.tokens, given.threads)
        return
    tokens = prepare(settings(0.1, "float32", given.threads))
    loops = take_turns(given.only or list(ROWS), given, __file__, tokens)
    speeds = {loop.name: figures(loop, given.measure, BATCH * SEQ) for loop in loops}
    result = {
        "command": " ".join(["python benchmarks/earlier.py", *sys.argv[1:]]),
        "environment": environment("cpu", given.threads),
        "measure": given.measure,
        "load": os.getloadavg(),
        "tokens_per_second": speeds,
        "goal": GOAL,
        "times_as_fast_as": {
            f"{ours}, {other}": {
                kind: speeds[ours][kind] / speeds[other][kind] for kind in KINDS
            }
            for ours, other in COMPARED
            if ours in speeds and other in speeds
        },
    }
    given.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    for name, ratio in result["times_as_fast_as"].items():
        print(f"{name}: {ratio['median']:.2f}, best {ratio['best']:.2f}")


if __name__ == "__main__":
    main()
