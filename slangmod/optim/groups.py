"""Which weights decay: matrices do; norms, biases and embeddings do not."""

from typing import Any

from torch import nn


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Up to three groups for an optimizer, each parameter in exactly one of them.

    A matrix multiplies activations, and decay keeps it small. An embedding is looked
    up, so that decay would pull down rare tokens that see no gradient; it is not
    decayed, nor is the output matrix where it is the same (tied) matrix.

    ``kind`` says what is in a group: "hidden" matrices, an "output" matrix that is
    apart, or the "rest", which is not decayed.
    """
    embeddings = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters(recurse=False)
    }
    output = getattr(model, "output", None)
    last = {id(p) for p in output.parameters()} if output is not None else set()
    kinds: dict[str, list[nn.Parameter]] = {"hidden": [], "rest": [], "output": []}
    for parameter in model.parameters():
        if parameter.requires_grad:
            spared = parameter.ndim <= 1 or id(parameter) in embeddings
            decayed = "output" if id(parameter) in last else "hidden"
            kinds["rest" if spared else decayed].append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": 0.0 if kind == "rest" else weight_decay,
            "kind": kind,
        }
        for kind, parameters in kinds.items()
        if parameters
    ]
