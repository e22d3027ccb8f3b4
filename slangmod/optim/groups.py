"""Which weights decay: matrices do; norms, biases and embeddings do not."""

from typing import Any

from torch import nn


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for an optimizer, each parameter in exactly one of them.

    A matrix multiplies activations, and decay keeps it small. An embedding is looked
    up, so that decay would pull down rare tokens that see no gradient; it is not
    decayed, nor is the output matrix where it is the same (tied) matrix.
    """
    embeddings = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters(recurse=False)
    }
    parameters = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in parameters if p.ndim > 1 and id(p) not in embeddings]
    rest = [p for p in parameters if p.ndim <= 1 or id(p) in embeddings]
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]
