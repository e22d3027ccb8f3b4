"""What an optimizer remembers of each weight, as files can hold it."""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from slangmod.parallel.shards import own_parameters

STEP: Final = "step"
"""Under which torch's optimizers count their steps."""


def stored(
    optimizer: torch.optim.Optimizer, model: nn.Module
) -> tuple[dict[str, Tensor], dict[str, float | int | bool | None]]:
    """The state of ``optimizer`` by ``parameter name/key``: its tensors, and the rest.

    Raises ValueError if it remembers something that is not of a single weight.
    """
    names = {id(p): name for name, p in own_parameters(model).items()}
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, float | int | bool | None] = {}
    for parameter, entries in optimizer.state.items():
        if id(parameter) not in names:
            raise ValueError("the state of the optimizer is not that of single weights")
        for key, value in entries.items():
            place = f"{names[id(parameter)]}/{key}"
            if isinstance(value, Tensor):
                tensors[place] = value.contiguous()
            else:
                scalars[place] = value
    return tensors, scalars


def restore(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    scalars: Mapping[str, Any],
) -> None:
    """Put back what ``stored`` gave; groups and their options stay as they are.

    Raises ValueError if something is of a weight that the model does not have, or is
    not of the shape that a fused optimizer takes it for.
    """
    by_name: dict[str, dict[str, Any]] = {}
    for place, value in {**tensors, **scalars}.items():
        name, _, key = place.rpartition("/")
        by_name.setdefault(name, {})[key] = value
    names = {id(p): name for name, p in own_parameters(model).items()}
    if strange := by_name.keys() - names.values():
        raise ValueError(f"the model has no weight {min(strange)!r}")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    content = optimizer.state_dict()
    content["state"] = {
        index: by_name[names[id(parameter)]]
        for index, parameter in enumerate(parameters)
        if names[id(parameter)] in by_name
    }
    refuse_odd_shapes(optimizer, by_name, names)
    optimizer.load_state_dict(content)


def refuse_odd_shapes(
    optimizer: torch.optim.Optimizer,
    by_name: Mapping[str, Mapping[str, Any]],
    names: Mapping[int, str],
) -> None:
    """Raise ValueError where a fused optimizer would read or write beyond a tensor.

    Torch's fused steps go by the size of the weight alone.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"] if group.get("fused") else ():
            name = names[id(parameter)]
            for key, value in by_name.get(name, {}).items():
                wanted = torch.Size() if key == STEP else parameter.shape
                if not isinstance(value, Tensor) or value.shape != wanted:
                    raise ValueError(f"{name}/{key} is not of shape {list(wanted)}")


def is_of_rows(optimizer: torch.optim.Optimizer, key: str, dimensions: int) -> bool:
    """Whether what is remembered under ``key`` has the rows of its weight.

    Else every process has all of it, where a model is spread over several: a count, or
    what the optimizer says is of the whole weight.
    """
    return dimensions > 0 and key not in getattr(optimizer, "of_the_whole", ())
