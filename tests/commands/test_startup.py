"""What is loaded before a run takes its first step."""

import subprocess
import sys

SLOW = (
    *("torch._dynamo", "torch._inductor", "sympy", "polars", "pyarrow", "pandas"),
    *("swak", "tokenizers", "plotext", "plotly", "mlflow", "tensorboard", "optuna"),
)
"""Libraries that a plain training has no use for: each takes a while to load."""

TOGETHER = ("slangmod.parallel.group", "slangmod.training.strategies")
"""What several processes need; torch itself loads more than these would."""

TRAIN = f"""
import sys
import torch
distributed = {{name for name in sys.modules if "torch.distributed" in name}}
from slangmod.commands import session
from slangmod.settings.sections import Settings
import slangmod.cli, slangmod.commands.train
from slangmod.training.device import reproducible

shape = dict(dim=16, n_heads=2, n_layers=1, positions="learnable", context=16)
settings = Settings.model_validate(dict(model=shape))
with reproducible(True, 1):
    state = session.new_state(settings, 257, torch.device("cpu"))
    objective = session.build_objective(settings, state, torch.device("cpu"))
    ids = torch.arange(8)[None]
    objective(ids, ids).backward()
    state.optimizer.step()
    state.optimizer.state_dict()
print("slow:", *(set({SLOW!r}) & set(sys.modules)))
more = {{name for name in sys.modules if "torch.distributed" in name}} - distributed
own = set({TOGETHER!r}) & set(sys.modules)
print("distributed:", *more, *own)
"""


def test_no_compiler_and_nothing_slow_or_distributed_is_loaded_for_a_first_step():
    done = subprocess.run(
        [sys.executable, "-c", TRAIN], capture_output=True, text=True, check=True
    )
    slow, distributed = done.stdout.splitlines()
    assert slow == "slow:"
    assert distributed == "distributed:"
