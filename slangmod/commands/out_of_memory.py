"""What is said where a step found no memory."""

from textwrap import shorten

import torch

from slangmod.errors import NEEDS_LESS, RunError, is_out_of_memory
from slangmod.training.memory import peak_memory
from slangmod.training.state import Counters


def explained(error: Exception, counters: Counters, device: torch.device) -> Exception:
    """What to raise for ``error``: where memory ran out, and what can be done."""
    if not is_out_of_memory(error):
        return error
    peak = peak_memory(device) / 2**20
    return RunError(
        f"out of memory in step {counters.step + 1}, after mini-batch "
        f"{counters.batch}, with at most {peak:.0f} MiB in use; the last "
        "checkpoint is good, and `slangmod resume` continues where there is more "
        f"memory; for another run, {NEEDS_LESS} ({brief(error)})"
    )


def brief(error: Exception) -> str:
    """What a library says of an error, in one line that is not too long."""
    return shorten(str(error) or type(error).__name__, 200, placeholder=" ...")
