"""Whether the training step is compiled: where it pays, and where it can be."""

import logging
import warnings
from collections.abc import Iterable
from typing import Final

import torch
from torch import nn

from slangmod.data.dataset import Batch
from slangmod.training.step import Objective

PAYS_AFTER: Final = 120.0
"""seconds of training below which compiling (20 to 50 seconds) costs what it gains"""

EAGER_SPEED: Final = {"cpu": 2e11, "cuda": 5e13}
"""FLOP/s that a training step reaches uncompiled, by kind of device: an estimate"""

LAUNCH_SECONDS: Final = 1e-3
"""least time that one layer takes, forward and backward, whatever its size"""

CHATTY: Final = ("torch.utils.cpp_extension", "torch._inductor", "torch._dynamo")
"""Loggers of the compiler, whose warnings say nothing to who trains a model."""

_log = logging.getLogger(__name__)


def estimated_seconds(
    kind: str, parameters: int, layers: int, steps: int, tokens: int
) -> float:
    """Training time of ``steps`` mini-batches of ``tokens`` each, uncompiled.

    6 FLOP per parameter and token (Kaplan et al., 2020), at a fixed speed: rough,
    but the same for the same settings, so that equal runs make equal choices.
    """
    speed = EAGER_SPEED.get(kind, EAGER_SPEED["cpu"])
    return steps * max(6.0 * parameters * tokens / speed, LAUNCH_SECONDS * layers)


def compiled_or_eager(
    objective: Objective, batch: Batch, parameters: Iterable[nn.Parameter]
) -> tuple[Objective, bool]:
    """The compiled objective if a trial on ``batch`` works, else the eager one.

    -> what to train with, and whether it is compiled. Leaves no gradients behind.
    """
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    # Here rather than when deterministic kernels were asked for: it loads the compiler.
    torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled())
    compiled: Objective = torch.compile(objective, dynamic=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled(*batch).backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # compilers fail in many ways
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        _log.warning("no compiler works here (%s): training uncompiled", reason[:200])
        torch.compiler.reset()
        return objective, False
    finally:
        for parameter in parameters:
            parameter.grad = None
    return compiled, True
