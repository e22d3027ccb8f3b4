"""What a checkpoint holds, gathered at the border of a step and not yet written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from slangmod.optim.state import stored
from slangmod.training.state import TrainState
from slangmod.training.tensor_file import Written, pieces, written

MODEL: Final = "model.safetensors"
OPTIMIZER: Final = "optimizer.safetensors"
STATE: Final = "state.json"

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Snapshot:
    """The files of a checkpoint, in memory."""

    step: int
    best_step: int
    """of what is best so far, this step included"""
    tensors: Mapping[str, Tensors]
    """by name of file, then of tensor"""
    text: bytes
    """of state.json"""
    inputs: Mapping[str, str]
    """hashes of what went into the run, by name"""
    own: bool = False
    """whether the tensors are copies, which training does not change"""

    @property
    def size(self) -> int:
        """Bytes on disk, but for headers and the manifest."""
        tensors = (one for each in self.tensors.values() for one in each.values())
        return len(self.text) + sum(one.numel() * one.element_size() for one in tensors)

    def copied(self) -> "Snapshot":
        """The same in memory of its own, on the host, while training goes on."""
        if self.own:
            return self
        tensors = {
            file: {
                name: tensor.detach().to("cpu", copy=True)
                for name, tensor in each.items()
            }
            for file, each in self.tensors.items()
        }
        return replace(self, tensors=tensors, own=True)

    def meant(self) -> dict[str, Written]:
        """Sizes and hashes that the files of tensors will have; writes nothing."""
        return {
            file: written(pieces(each), lambda _: None)
            for file, each in self.tensors.items()
        }


@torch.no_grad()
def take(state: TrainState, about: Mapping[str, Any]) -> Snapshot:
    """The state as it is now, its tensors not yet copied.

    ``about`` is what else must be known to go on: plain values, ready for JSON. Those
    whose names end in ``_sha256`` go into the manifest, too.
    """
    tensors, scalars = stored(state.optimizer, state.model)
    content = {**state.plain(), "optimizer": scalars, "about": dict(about)}
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return Snapshot(
        state.counters.step,
        state.patience.best_step,
        {MODEL: state.model.state_dict(), OPTIMIZER: tensors, **state.copies()},
        text.encode("utf-8"),
        {key: about[key] for key in sorted(about) if key.endswith("_sha256")},
    )
