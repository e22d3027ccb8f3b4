"""Rules of [model]: what the widths and heads of every layer must be to each other."""

from collections.abc import Callable, Iterator

from slangmod.settings.clash import Clash
from slangmod.settings.per_layer import layer_of
from slangmod.settings.sections import Model, Settings

Name = Callable[[str], str]
"""Option of a layer -> dotted name of the setting that says what it is."""


def different_layers(model: Model) -> Iterator[tuple[Model, Name]]:
    """Each kind of layer that ``model`` has, and where its options are set."""
    if not model.layer:
        yield model, "model.{}".format
    for number, table in enumerate(model.layer, start=1):

        def name(option: str, number: int = number, table: object = table) -> str:
            own = getattr(table, option, None) is not None
            return f"model.layer.{number}.{option}" if own else f"model.{option}"

        yield layer_of(model, table, model.n_layers), name


def heads_divide_width(settings: Settings) -> Iterator[Clash]:
    """Each head gets an equal share of ``dim``; groups of heads are equal too."""
    for model, name in different_layers(settings.model):
        heads, kv_heads = name("n_heads"), name("n_kv_heads")
        if model.dim % model.n_heads:
            yield Clash(
                (heads, "model.dim"),
                f"model.dim must be a multiple of {heads.removeprefix('model.')}",
            )
        if model.n_kv_heads is not None and model.n_heads % model.n_kv_heads:
            yield Clash(
                (kv_heads, heads),
                f"{heads} must be a multiple of {kv_heads.removeprefix('model.')}",
            )


def rotary_turns_pairs(settings: Settings) -> Iterator[Clash]:
    """Rotary positions turn pairs of features within each head."""
    for model, name in different_layers(settings.model):
        whole = model.dim % model.n_heads == 0
        if model.positions == "rotary" and whole and model.dim // model.n_heads % 2:
            heads = name("n_heads")
            yield Clash(
                ("model.positions", "model.dim", heads),
                "rotary positions need an even width of each head, model.dim / "
                f"{heads.removeprefix('model.')}",
            )


def zeros_can_grow(settings: Settings) -> Iterator[Clash]:
    """The halves of "grn" multiply each other: where both are zero, both stay so."""
    for model, name in different_layers(settings.model):
        if model.zero_init and model.feedforward.flavor == "grn":
            yield Clash(
                ("model.zero_init", name("feedforward.flavor")),
                'gated residual networks that begin at zero learn nothing; "glu" does',
            )
