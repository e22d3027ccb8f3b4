"""The loss of a prediction without ever holding the logits of a whole mini-batch.

Logits of one chunk of rows after the other are made, judged, differentiated and
dropped. What is held of them is bounded, however many rows and however large the
vocabulary, and stays in a processor's cache: beside memory this saves time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from slangmod.data.dataset import IGNORE
from slangmod.model.products import Product, plain_product

HELD: Final = {"cpu": 1 << 22, "cuda": 1 << 27}
"""Logits that are held at a time, by kind of device: 16 MiB and 512 MiB of float32."""
LEAST_ROWS: Final = 64
"""Rows of a chunk at least: a product of fewer makes poor use of any processor."""
ROUND: Final = {"cuda": 64}
"""To a multiple of how many tokens a bfloat16 matrix is filled up, by kind of device.

Tensor cores work on round shapes: nanoGPT trains a quarter faster with 50304 tokens
than with the 50257 there are (Karpathy 2023). What is filled up are copies for a
product, never weights, draws or files.
"""


def rows_at_a_time(vocab: int, device: torch.device) -> int:
    """How many rows of ``vocab`` logits each make up a chunk."""
    return max(LEAST_ROWS, HELD.get(device.type, HELD["cuda"]) // vocab)


def chunks(
    hidden: Tensor, targets: Tensor, vocab: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """[batch, seq, dim], [batch, seq] -> [rows, dim], [rows], one after the other."""
    rows = rows_at_a_time(vocab, hidden.device)
    flat, wanted = hidden.flatten(0, 1), targets.flatten()
    yield from zip(torch.split(flat, rows), torch.split(wanted, rows), strict=True)


@dataclass(frozen=True)
class Aim:
    """What training makes small: the cross-entropy with the targets, and additions.

    With smoothing ``e`` the target distribution q is ``1 - e`` on the token and
    ``e / vocab`` on every one (Szegedy et al., 2016); ``z_loss`` weighs the square of
    ``logsumexp(logits)`` (Chowdhery et al., 2022); ``softcap`` c bounds what the
    matrix gives by ``c * tanh(x / c)`` (Gemma 2, 2024); None leaves it.
    """

    smoothing: float = 0.0
    z_loss: float = 0.0
    softcap: float | None = None

    def logits(self, raw: Tensor) -> Tensor:
        """[rows, vocab] float32, bounded; with a softcap ``raw`` becomes its tanh."""
        cap = self.softcap
        return raw if cap is None else raw.div_(cap).tanh_() * cap

    def losses(self, logits: Tensor, log_z: Tensor, place: Tensor) -> Tensor:
        """[rows]; log_z [rows] is their logsumexp, place [rows, 1] the targets."""
        losses = log_z - (1 - self.smoothing) * logits.gather(1, place).squeeze(1)
        if self.smoothing:
            losses = losses - self.smoothing * logits.mean(1)
        if self.z_loss:
            losses = losses + self.z_loss * log_z.square()
        return losses

    def slope(
        self, raw: Tensor, logits: Tensor, log_z: Tensor, place: Tensor
    ) -> Tensor:
        """[rows, vocab]: the losses' derivative by what the matrix gives.

        With p the softmax: ``p - q + 2 * z_loss * logsumexp * p``, and that times
        ``1 - tanh^2`` where there is a softcap. ``logits`` are overwritten.
        """
        slope = logits.sub_(log_z.unsqueeze(1)).exp_()
        if self.z_loss:
            slope.mul_((1 + 2 * self.z_loss * log_z).unsqueeze(1))
        if self.smoothing:
            slope.sub_(self.smoothing / logits.shape[1])
        missing = slope.new_full((), self.smoothing - 1).expand(place.shape)
        slope.scatter_add_(1, place, missing)
        return slope if self.softcap is None else slope.mul_(1 - raw.square())


def filled_up(matrix: Tensor) -> Tensor:
    """Rows of zeros behind [vocab, dim], where round shapes are faster."""
    grain = ROUND.get(matrix.device.type, 1) if matrix.dtype == torch.bfloat16 else 1
    missing = -len(matrix) % grain
    return functional.pad(matrix, (0, 0, 0, missing)) if missing else matrix


def widened(slope: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """[rows, vocab] -> [rows, width] of ``dtype``, zeros behind."""
    if slope.shape[1] == width:
        return slope.to(dtype)
    wide = slope.new_zeros(len(slope), width, dtype=dtype)
    wide[:, : slope.shape[1]] = slope
    return wide


class Space:
    """Memory for what every chunk makes anew, taken once and used by all of them.

    What is taken and given back for each chunk leaves holes between what stays: in a
    process that trained in float32, as much again as a quarter of what it held.
    """

    def __init__(self) -> None:
        self._taken: dict[tuple[int, int, torch.dtype], Tensor] = {}

    def product(self, a: Tensor, b: Tensor, product: Product) -> Tensor:
        """``product(a, b)``, which is overwritten by the next of its shape."""
        if product is not plain_product or torch.compiler.is_compiling():
            return product(a, b)
        return torch.mm(a, b.t(), out=self._place(len(a), len(b), a))

    def floats(self, x: Tensor) -> Tensor:
        """``x`` in float32, itself if it is that."""
        if x.dtype == torch.float32 or torch.compiler.is_compiling():
            return x.float()
        return self._place(len(x), x.shape[1], x.new_empty(0).float()).copy_(x)

    def _place(self, rows: int, columns: int, like: Tensor) -> Tensor:
        key = rows, columns, like.dtype
        if key not in self._taken:
            self._taken[key] = like.new_empty(rows, columns)
        return self._taken[key]


class _ChunkedLoss(torch.autograd.Function):
    """Sum of losses as a function of hidden states and of the matrix that predicts.

    The gradient is made along with the loss, for both are needed and the logits are
    there once. It is scaled in place: a second backward pass is refused by autograd.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        matrix: Tensor,
        targets: Tensor,
        dtype: torch.dtype,
        aim: Aim,
        graded: bool,
        product: Product,
    ) -> Tensor:
        total = torch.zeros((), device=hidden.device)
        d_matrix = torch.zeros_like(matrix) if graded else None
        d_hidden = []
        low, vocab = filled_up(matrix.to(dtype)), len(matrix)
        space = Space()
        for part, targets_here in chunks(hidden, targets, vocab):
            rows, known = part.to(dtype), targets_here != IGNORE
            place = targets_here.clamp_min(0).unsqueeze(1)
            raw = space.floats(space.product(rows, low, product)[:, :vocab])
            logits = aim.logits(raw)
            log_z = logits.logsumexp(1)
            total = total + aim.losses(logits, log_z, place).where(known, 0.0).sum()
            if d_matrix is not None:
                slope = aim.slope(raw, logits, log_z, place)
                slope.masked_fill_(~known.unsqueeze(1), 0.0)
                slope = widened(slope, len(low), dtype)
                d_hidden.append(product(slope, low.t()).to(hidden.dtype))
                d_matrix += space.product(slope.t(), rows.t(), product)[:vocab]
        if d_matrix is not None:
            ctx.save_for_backward(torch.cat(d_hidden).view_as(hidden), d_matrix)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden, d_matrix = ctx.saved_tensors
        return d_hidden.mul_(scale), d_matrix.mul_(scale), *[None] * 5


def prediction_loss(
    hidden: Tensor,
    matrix: Tensor,
    targets: Tensor,
    aim: Aim,
    dtype: torch.dtype = torch.float32,
    product: Product = plain_product,
) -> Tensor:
    """Sum of the losses of predicting ``targets``, in nats, float32.

    hidden [batch, seq, dim]; matrix [vocab, dim]; targets [batch, seq], IGNORE where
    there is nothing to predict. Products are of ``dtype``, by ``product`` where that is
    float32; sums over the vocabulary and over rows of float32. Can be differentiated
    once.
    """
    product = product if dtype == torch.float32 else plain_product
    # Within the function itself gradients always look switched off.
    graded = torch.is_grad_enabled() and (hidden.requires_grad or matrix.requires_grad)
    total: Tensor = _ChunkedLoss.apply(  # type: ignore[no-untyped-call]
        hidden, matrix, targets, dtype, aim, graded, product
    )
    return total
