"""What holds in each single layer of a model whose layers may differ."""

from typing import Any

from slangmod.settings.sections import LayerTable, Model, Section


def layers_of(model: Model) -> tuple[Model, ...]:
    """The settings of every single layer, in order.

    Each is ``model`` with the options of its ``[[model.layer]]`` table on top, and
    has no such tables of its own. Without tables there are ``n_layers`` equal layers;
    with them, as many as their ``repeat`` add up to, and ``n_layers`` says so.

    >>> model = Model(layer=(LayerTable(repeat=2, n_heads=4), LayerTable(qk_norm=True)))
    >>> [(one.n_heads, one.n_kv_heads, one.qk_norm) for one in layers_of(model)]
    [(4, 4, False), (4, 4, False), (8, None, True)]
    """
    if not model.layer:
        return (model,) * model.n_layers
    total = sum(table.repeat for table in model.layer)
    return tuple(
        one
        for table in model.layer
        for one in (layer_of(model, table, total),) * table.repeat
    )


def layer_of(model: Model, table: LayerTable, layers: int) -> Model:
    """``model`` as ``table`` changes it; one of ``layers`` in all.

    Heads of keys and values follow the heads where only these are set anew.
    """
    own = _set(table)
    for key in ("repeat", "feedforward"):
        own.pop(key)
    if "n_heads" in own:
        own.setdefault("n_kv_heads", own["n_heads"])
    parts = _set(table.feedforward)
    return model.model_copy(
        update={
            **own,
            "n_layers": layers,
            "layer": (),
            "feedforward": model.feedforward.model_copy(update=parts),
        }
    )


def _set(section: Section) -> dict[str, Any]:
    """The options of ``section`` that are not unset."""
    options = {key: getattr(section, key) for key in type(section).model_fields}
    return {key: value for key, value in options.items() if value is not None}
