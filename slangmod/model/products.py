"""Linear maps in float32 whose matrix products another library can compute.

PyTorch gives products of float32 to MKL, which on processors that are not Intel's
makes no use of their widest units; oneDNN does, with the same float32. Measured on one
core of an EPYC with AVX-512: 85 GFLOP/s against 190 forward and 130 to 190 backward.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

Product = Callable[[Tensor, Tensor], Tensor]
"""[rows, n], [columns, n] -> [rows, columns]: the first times the second, transposed"""


def plain_product(a: Tensor, b: Tensor) -> Tensor:
    """As PyTorch computes it."""
    return a @ b.t()


@cache
def onednn_product() -> Product:
    """The same by oneDNN, on a CPU, which knows its gradients.

    It has to be an operator: the compiler takes oneDNN's own for weights that never
    change.
    """

    @torch.library.custom_op("slangmod::product", mutates_args=(), device_types="cpu")
    def product(a: Tensor, b: Tensor) -> Tensor:
        made: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
        return made

    def setup(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG001
        ctx.save_for_backward(*inputs)

    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor]:
        a, b = ctx.saved_tensors
        return product(slope, b.t()), product(slope.t(), a.t())

    product.register_fake(lambda a, b: a.new_empty(len(a), len(b)))
    product.register_autograd(backward, setup_context=setup)
    return product


class Linear(nn.Linear):
    """``nn.Linear`` whose products in float32 are those of ``product``."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__(inputs, outputs, bias=bias)
        self.product: Product = plain_product

    def forward(self, x: Tensor) -> Tensor:
        """[.., in] -> [.., out]."""
        low = torch.is_autocast_enabled(x.device.type)
        if self.product is plain_product or low:
            return super().forward(x)
        flat = self.product(x.flatten(0, -2), self.weight)
        y = flat.view(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y + self.bias
