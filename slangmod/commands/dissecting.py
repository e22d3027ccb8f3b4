"""A step taken apart: what each mini-batch says, and where numbers cease to be finite.

The gradients are not clipped, and no weight is changed.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from slangmod.commands.session import Session
from slangmod.data.dataset import Batch
from slangmod.generation.terminal import printable
from slangmod.settings.paths import tokenizer_path
from slangmod.text.tokenizer import Codec
from slangmod.training.chance import seed_batch
from slangmod.training.feed import to_device
from slangmod.training.loss import count_targets
from slangmod.training.step import Objective


def dissect(session: Session, objective: Objective) -> dict[str, Any]:
    """The step that comes next, as tables for TOML, which knows nan and inf."""
    counters, train = session.state.counters, session.train
    begin, step_freq = counters.batch, session.stage.train.step_freq
    epoch, _ = train.locate(begin)
    positions = range(begin, min(begin + step_freq, train.batches_until(epoch)))
    batches = [train.batch(position) for position in positions]
    tokens = max(1, sum(count_targets(batch.targets) for batch in batches))
    tables = [
        {
            "position": position,
            **of_batch(session, objective, batch, position, tokens),
            "row": rows_of(session, batch, position),
        }
        for position, batch in zip(positions, batches, strict=True)
    ]
    shares = (table["loss"] * table["target_tokens"] for table in tables)
    odd = odd_gradients(session.state.model)
    norm = gradient_norm(session.state.model)
    session.state.model.zero_grad(set_to_none=True)
    return {
        "step": counters.step + 1,
        "epoch": epoch,
        "loss": sum(shares) / tokens,
        "gradient_norm": norm,
        "gradients_not_finite": odd,
        "batch": tables,
    }


def of_batch(
    session: Session, objective: Objective, batch: Batch, position: int, tokens: int
) -> dict[str, Any]:
    """Loss of a mini-batch and norm of what it adds to the gradient.

    The gradient is added to those of the model; ``tokens`` are those of the step.
    """
    model, seed = session.state.model, session.settings.seed
    model.train()
    own = max(1, count_targets(batch.targets))
    before = {
        name: weight.grad.clone()
        for name, weight in model.named_parameters()
        if weight.grad is not None
    }
    seed_batch(seed, position)
    loss = objective(*to_device(batch, session.device))
    (loss / tokens).backward()  # type: ignore[no-untyped-call]
    nats = float(loss.detach())
    found = {"loss": nats / own, "gradient_norm": gradient_norm(model, before)}
    place = None
    if not all(map(math.isfinite, found.values())):
        seed_batch(seed, position)
        place = first_odd_output(session, batch)
    first = {} if place is None else {"first_output_not_finite": place}
    return {"target_tokens": own, **found, **first}


def gradient_norm(model: nn.Module, less: dict[str, Tensor] | None = None) -> float:
    """2-norm of all gradients, or of what they are more than ``less``, by name."""
    parts = [
        torch.linalg.vector_norm(weight.grad - (less or {}).get(name, 0))
        for name, weight in model.named_parameters()
        if weight.grad is not None
    ]
    return float(torch.linalg.vector_norm(torch.stack(parts)))


def odd_gradients(model: nn.Module) -> list[str]:
    """Names of the weights whose gradients are not finite.

    Those nearest to the loss come first: where numbers go wrong on the way back, the
    first of them shows.
    """
    return [
        name
        for name, weight in reversed(list(model.named_parameters()))
        if weight.grad is not None and not bool(weight.grad.isfinite().all())
    ]


def first_odd_output(session: Session, batch: Batch) -> str | None:
    """The first module on the way forward whose output is not finite, None if none.

    Modules within others come before those; it is looked for uncompiled.
    """
    found: list[str] = []

    def looking(name: str) -> Any:
        def look(_: nn.Module, __: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not bool(output.isfinite().all()):
                found.append(name)

        return look

    model = session.state.model
    hooks = [
        module.register_forward_hook(looking(name or "the whole model"))
        for name, module in model.named_modules()
    ]
    try:
        with torch.no_grad():
            session.objective(*to_device(batch, session.device))
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None


def rows_of(session: Session, batch: Batch, position: int) -> list[dict[str, Any]]:
    """Where each row of a mini-batch lies, and what it says."""
    settings = session.settings
    codec = Codec.load(tokenizer_path(settings), settings.tokens.eos_string)
    rows, starts, lengths = session.train.places(position)
    return [
        {
            "number": number,
            "first_token": start,
            "text": printable(codec.decode(batch.inputs[index, :length].tolist())),
        }
        for index, (number, start, length) in enumerate(
            zip(rows, starts, lengths, strict=True)
        )
    ]
