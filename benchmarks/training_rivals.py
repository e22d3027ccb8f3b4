"""The training loops of others: Hugging Face's own, and three that are written after.

Each trains for ever on the same tokens and calls ``turns`` after every step; losses are
logged every LOG steps.
"""

import contextlib
import math
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from training_models import BATCH, DIM, HEADS, LAYERS, SEQ, Lit, Nano
from training_turns import Turns

LOG = 10
RATE, WARM_UP, STEPS = 1e-3, 100, 10**6


@dataclass(frozen=True)
class Work:
    """What a loop is to do."""

    tokens: Path
    """file of uint16 ids"""
    vocab: int
    precision: str
    compiled: bool

    @property
    def ids(self) -> NDArray[np.uint16]:
        return np.memmap(self.tokens, np.uint16, "r")

    def autocast(self) -> AbstractContextManager[None]:
        low = self.precision == "bfloat16"
        return (
            torch.autocast("cpu", torch.bfloat16) if low else contextlib.nullcontext()
        )

    def ready(self, model: nn.Module) -> nn.Module:
        return torch.compile(model) if self.compiled else model


def rate_at(step: int) -> float:
    """Linear warmup, then half a cosine."""
    if step < WARM_UP:
        return RATE * (step + 1) / WARM_UP
    return RATE * (0.1 + 0.45 * (1 + math.cos(math.pi * step / STEPS)))


def set_rate(optimizer: torch.optim.Optimizer, step: int) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate_at(step)


def drawn(ids: NDArray[np.uint16]) -> list[Tensor]:
    """Rows of one token more than are seen, from anywhere."""
    starts = torch.randint(len(ids) - SEQ - 1, (BATCH,)).tolist()
    return [torch.from_numpy(ids[s : s + SEQ + 1].astype(np.int64)) for s in starts]


def crops(ids: NDArray[np.uint16]) -> tuple[Tensor, Tensor]:
    """Inputs and targets of such rows."""
    rows = drawn(ids)
    return torch.stack([r[:-1] for r in rows]), torch.stack([r[1:] for r in rows])


def plain(work: Work, turns: Turns) -> None:
    """A model, an optimizer, and nothing else."""
    ids, model = work.ids, Nano(work.vocab)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)
    trained, step = work.ready(model), 0
    while True:
        inputs, targets = crops(ids)
        with work.autocast():
            _, loss = trained(inputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        turns(loss.item() if step % LOG == 0 else None)


def nanogpt(work: Work, turns: Turns) -> None:
    """As nanoGPT's train.py: decay of matrices alone, next batch drawn before backward.

    Its optimizer is fused on GPUs only and it knows no autocast on a CPU; here it has
    both.
    """
    ids, model = work.ids, Nano(work.vocab)
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": 0.1},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.95), fused=True)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    trained, step = work.ready(model), 0
    inputs, targets = crops(ids)
    while True:
        set_rate(optimizer, step)
        with work.autocast():
            _, loss = trained(inputs, targets)
        inputs, targets = crops(ids)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
        step += 1
        turns(loss.item() if step % LOG == 0 else None)


def in_chunks(logits: Tensor, targets: Tensor, rows: int = 128) -> Tensor:
    """Mean cross-entropy, a few rows at a time, as litgpt computes it."""
    pairs = zip(
        logits.flatten(0, 1).split(rows), targets.flatten().split(rows), strict=True
    )
    losses = [functional.cross_entropy(x, y, reduction="none") for x, y in pairs]
    known = (targets != -100).sum()
    return torch.cat(losses).sum() / known.maximum(torch.ones_like(known))


def litgpt(work: Work, turns: Turns) -> None:
    """As ``litgpt pretrain``: mixed precision around the compiled model, float32 out.

    It asks for the fused optimizer on GPUs only.
    """
    ids, model = work.ids, Lit(work.vocab)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    trained, step = work.ready(model), 0
    while True:
        rows = torch.stack(drawn(ids))
        set_rate(optimizer, step)
        inputs, targets = rows[:, :SEQ].contiguous(), rows[:, 1:].contiguous()
        with work.autocast():
            logits = trained(inputs)
        loss = in_chunks(logits.float(), targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        turns(loss.detach().item() if step % LOG == 0 else None)


class Rows(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The rows of ``ids``, one after the other, as Hugging Face wants them."""

    def __init__(self, ids: NDArray[np.uint16]) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids) // SEQ

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        piece = self.ids[row * SEQ : (row + 1) * SEQ].astype(np.int64)
        tokens = torch.from_numpy(piece)
        return {"input_ids": tokens, "labels": tokens}


def hugging_face(work: Work, turns: Turns) -> None:
    """The Trainer with its defaults, and a GPT-2 configuration of the same shape."""
    from transformers import (
        GPT2Config,
        GPT2LMHeadModel,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    class Watch(TrainerCallback):
        def on_step_end(self, _args, state, _control, **_more):
            losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
            turns(losses[-1] if losses else None)

    config = GPT2Config(
        vocab_size=work.vocab,
        n_positions=SEQ,
        n_embd=DIM,
        n_layer=LAYERS,
        n_head=HEADS,
        activation_function="gelu",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            max_steps=STEPS,
            learning_rate=RATE,
            warmup_steps=WARM_UP,
            bf16=work.precision == "bfloat16",
            torch_compile=work.compiled,
            use_cpu=True,
            logging_steps=LOG,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        model, rows = GPT2LMHeadModel(config), Rows(work.ids)
        Trainer(model, arguments, train_dataset=rows, callbacks=[Watch()]).train()


LOOPS: dict[str, Callable[[Work, Turns], None]] = {
    "plain": plain,
    "nanogpt": nanogpt,
    "litgpt": litgpt,
    "hugging face": hugging_face,
}
