"""What a checkpoint holds, gathered at the border of a step and not yet written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor

from slangmod.optim.state import is_of_rows, stored
from slangmod.parallel.shards import Shards, rows_of, shards_of
from slangmod.training.copies import weights_of
from slangmod.training.index import Parts, Placed, part_name
from slangmod.training.state import TrainState
from slangmod.training.tensor_file import TYPES, Written, pieces, written

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
    index: Mapping[str, Parts] | None = None
    """what the files of all processes hold, where each has rows of its own"""
    own: bool = False
    """whether the tensors are copies, which training does not change"""

    @property
    def size(self) -> int:
        """Bytes on disk, but for headers and the manifest; of all processes."""
        if self.index is not None:
            return len(self.text) + sum(parts.size for parts in self.index.values())
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
    sets: Mapping[str, Tensors] = {
        MODEL: weights_of(state.model),
        OPTIMIZER: tensors,
        **state.copies(),
    }
    index, shards = None, shards_of(state.model)
    if shards is not None:
        index = index_of(sets, shards, state.optimizer)
        sets = own_files(sets, shards, index)
    content = {**state.plain(), "optimizer": scalars, "about": dict(about)}
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return Snapshot(
        state.counters.step,
        state.patience.best_step,
        sets,
        text.encode("utf-8"),
        {key: about[key] for key in sorted(about) if key.endswith("_sha256")},
        index,
    )


def index_of(
    sets: Mapping[str, Tensors], shards: Shards, optimizer: torch.optim.Optimizer
) -> dict[str, Parts]:
    """Where the rows of all processes will lie, ``sets`` being those of this one."""
    size = shards.team.size

    def placed(name: str, key: str, tensor: Tensor) -> Placed:
        parameter, _, entry = (
            key.rpartition("/") if name == OPTIMIZER else (key, "", "")
        )
        if not is_of_rows(optimizer, entry, tensor.ndim):
            return Placed(TYPES[tensor.dtype], tuple(tensor.shape), None)
        total = shards.shapes[parameter][0]
        shape = (total, *tensor.shape[1:])
        return Placed(TYPES[tensor.dtype], shape, len(rows_of(0, size, total)))

    return {
        name: Parts(
            tuple(part_name(name, rank, size) for rank in range(size)),
            {key: placed(name, key, tensor) for key, tensor in each.items()},
        )
        for name, each in sets.items()
    }


def own_files(
    sets: Mapping[str, Tensors], shards: Shards, index: Mapping[str, Parts]
) -> dict[str, Tensors]:
    """What this process writes of ``sets``, by name of file."""
    rank = shards.team.rank
    return {
        parts.files[rank]: {key: sets[name][key] for key in parts.shapes_in(rank)}
        for name, parts in index.items()
    }
