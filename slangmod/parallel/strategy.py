"""What each of several devices holds and sends, by strategy, and which one to take.

Pure arithmetic, in bytes. ``ddp``: every device holds all. ``fsdp``: every device holds
its share, and gathers a block of weights when it computes with it.
"""

from dataclasses import dataclass
from typing import Final

DDP, FSDP = STRATEGIES = ("ddp", "fsdp")

GATHERED_BLOCKS: Final = 2
"""One that is computed with, and the next one, gathered in advance."""


@dataclass(frozen=True)
class Needs:
    """Bytes of a training, as one device of several would have them with ddp."""

    weights: int
    """copies of them, as of train.ema, included"""
    gradients: int
    optimizer: int
    activations: int
    """of a device's own rows of a mini-batch, predictions and work space included"""
    block: int
    """weights of the largest layer"""
    outside: int
    """weights that belong to no layer: embeddings and what predicts"""
    process: int = 0
    """of the program itself, where devices are CPUs"""


@dataclass(frozen=True)
class Held:
    """Bytes that one device holds."""

    divided: int
    """weights, gradients and what the optimizer remembers: all, or a share"""
    gathered: int
    """whole weights and gradients besides, for as long as they are computed with"""
    activations: int
    process: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.divided + self.gathered + self.activations + self.process


@dataclass(frozen=True)
class Choice:
    """A strategy, and in one sentence why."""

    strategy: str
    why: str


def held_by(strategy: str, needs: Needs, devices: int, step_freq: int = 1) -> Held:
    """What each of ``devices`` holds at most.

    With fsdp a device gathers what is outside of layers, and GATHERED_BLOCKS, and has
    the gradients of the first and of one block whole until they are summed; with
    several mini-batches in a step, all gradients.
    """
    whole = needs.weights + needs.gradients + needs.optimizer
    if strategy == DDP or devices == 1:
        return Held(whole, 0, needs.activations, needs.process)
    weights = needs.outside + GATHERED_BLOCKS * needs.block
    gradients = needs.gradients if step_freq > 1 else needs.outside + needs.block
    share = -(-whole // devices)
    return Held(share, weights + gradients, needs.activations, needs.process)


def moved_by(
    strategy: str, weights: int, outside: int, devices: int, step_freq: int = 1
) -> int:
    """Bytes that each device sends, and as many that it gets, in an optimizer step.

    Of ``weights`` bytes, of which ``outside`` are in no layer. Summing n bytes over a
    ring of W moves 2 (W - 1) / W n, once a step with ddp; gathering them, or summing
    and scattering, moves half as much: with fsdp those of layers are gathered twice for
    each of ``step_freq`` mini-batches, the others once, and all are scattered once.
    """
    gathered = step_freq * (2 * (weights - outside) + outside)
    moved = 2 * weights if strategy == DDP else gathered + weights
    return round(moved * (devices - 1) / devices)


def step_seconds(
    strategy: str, computing: float, moving: float, step_freq: int = 1
) -> float:
    """Seconds of a step that computes and moves for so many.

    With ddp gradients move behind the backward pass of the last mini-batch, two thirds
    of its time; with fsdp everything moves behind everything.
    """
    behind = 2 / 3 * computing / step_freq if strategy == DDP else computing
    return computing + max(0.0, moving - behind)


def choose(
    needs: Needs, devices: int, available: int | None, step_freq: int = 1
) -> Choice:
    """``parallel.strategy = "auto"``: ddp where that fits each device, else fsdp.

    ``available``: bytes that training may take on each; None where that is not known.
    """
    ddp, fsdp = (held_by(one, needs, devices, step_freq).total for one in (DDP, FSDP))
    if available is None:
        return Choice(
            DDP, f"ddp: how much memory is free is not known; {_mb(ddp)} each"
        )
    if ddp <= available:
        return Choice(
            DDP, f"ddp: weights, gradients, moments and activations take {_mb(ddp)} "
            f"of the {_mb(available)} of each device",
        )  # fmt: skip
    fits = "" if fsdp <= available else ", which is still too much"
    return Choice(
        FSDP, f"fsdp: with ddp each device would hold {_mb(ddp)}, and has "
        f"{_mb(available)}; shared out, it is {_mb(fsdp)}{fits}",
    )  # fmt: skip


def _mb(size: int) -> str:
    return f"{size / 10**6:,.0f} MB".replace(",", " ")
