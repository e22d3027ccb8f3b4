"""Writes what the manual computes: settings.rst, and the table of scaling.rst.

python docs/generate.py
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from slangmod.files import write_text
from slangmod.parallel.strategy import Needs, choose, held_by
from slangmod.settings.catalog import Key, arrays, catalog, tables
from slangmod.settings.literals import literal
from slangmod.settings.sections import Model, Section, Stage
from slangmod.settings.shapes import Known
from slangmod.settings.stages import MAY_CHANGE
from slangmod.settings.tensors import count_parameters, weights_by_place

TARGET = Path(__file__).with_name("settings.rst")

HEAD = """\
.. Written by ``python docs/generate.py`` from slangmod/settings/sections.py.

Settings
========

Every setting, as it is checked and as ``slangmod config explain`` tells it. In a TOML
file a setting stands in its table; on the command line it is ``--table.name value``, in
the environment ``SLM_TABLE__NAME``. Later ones win: defaults, preset (``size``),
``base`` files, the TOML file, environment, command line. The text ``"none"`` unsets a
setting that may be unset. :doc:`configuration` tells how they work together.
"""


ARRAYS = """
Arrays of tables
----------------

Of these there may be any number, in the order in which they count. In a TOML file each
begins with its name in double brackets. On the command line they are called by number,
the first being 1: ``--{first}.1.{key}``, and ``SLM_{upper}__1__{upper_key}``.
"""
IN_STAGES = """
Besides, a stage takes ``model.dropout`` and any setting of
{sections} that can hold for a part of a training:
``train.learning_rate = 3e-4`` in a file, or ``--stage.2.train.learning_rate 3e-4``.
"""


def settings_page() -> str:
    """The page as it should be."""
    parts = [HEAD]
    for path, section in tables().items():
        known = [one for one in catalog().values() if one.path[:-1] == path]
        title = f"[{'.'.join(path)}]" if path else "Top level"
        parts += [heading(title, "-"), about(section), *table_of(known, path)]
    first, inner = next(iter(arrays().items()))
    name, key = ".".join(first), next(iter(catalog(inner)))
    upper = "__".join(first).upper()
    parts.append(ARRAYS.format(first=name, key=key, upper=upper, upper_key=key.upper()))
    for path, section in arrays().items():
        parts += [heading(f"[[{'.'.join(path)}]]", "~"), about(section)]
        if section is Stage:
            sections = [f"``[{name}]``" for name in MAY_CHANGE]
            listed = f"{', '.join(sections[:-1])} and {sections[-1]}"
            parts.append(IN_STAGES.format(sections=listed))
        parts += table_of(catalog(section).values(), ())
    return "".join(parts)


def heading(title: str, line: str) -> str:
    """A title, underlined."""
    return f"\n{title}\n{line * len(title)}\n"


def about(section: type[Section]) -> str:
    """What a section is for."""
    return f"\n{sentence(section.__doc__ or '')}\n"


def table_of(settings: Iterable[Known], above: Key) -> Iterator[str]:
    """A list table of ``settings``, named as in the table at ``above``."""
    yield "\n.. list-table::\n   :header-rows: 1\n   :widths: 22 24 14 40\n\n"
    yield row("setting", "takes", "default", "meaning")
    for known in settings:
        yield row_of(known, ".".join(known.path[len(above) :]))


def row_of(known: Known, name: str) -> str:
    """The row of one setting, called ``name`` there."""
    limits = known.range_in_words()
    takes = " or ".join(
        f'``"{word}"``' if word in known.words else word
        for word in known.type_in_words().split("|")
    )
    default = "unset" if known.default is None else f"``{literal(known.default)}``"
    unit = f" ({known.unit})" if known.unit else ""
    return row(
        f"``{name}``",
        f"{takes}{'; ' if limits else ''}{limits}",
        default,
        escaped(sentence(known.meaning)) + unit,
    )


def row(*cells: str) -> str:
    """One row of a list table."""
    first, *others = cells
    return f"   * - {first}\n" + "".join(f"     - {cell}\n" for cell in others)


def sentence(text: str) -> str:
    """The first paragraph on one line."""
    return " ".join(text.split("\n\n")[0].split())


def escaped(text: str) -> str:
    """``text`` with what reStructuredText would take for markup made harmless."""
    return text.replace("\\", "\\\\").replace("*", "\\*").replace("|", "\\|")


SCALING = Path(__file__).with_name("scaling-table.inc")
VOCAB = 32_768
MODELS = (  # dim, layers, heads
    (768, 12, 12),
    (1024, 24, 16),
    (2048, 24, 16),
    (2560, 32, 32),
    (4096, 32, 32),
    (5120, 40, 40),
    (8192, 64, 64),
)
DEVICES = (1, 2, 8, 16, 64)
DEVICE_BYTES = 80 * 10**9
FOR_ACTIVATIONS = DEVICE_BYTES // 4


def scaling_table() -> str:
    """What each device of 80 GB holds, by model and number of devices."""
    lines = [".. Written by ``python docs/generate.py``.\n\n"]
    lines.append(".. list-table::\n   :header-rows: 1\n\n")
    heads = [f"{n} device{'s' * (n > 1)}" for n in DEVICES]
    lines.append(row("parameters", "dim x layers", *heads))
    for dim, layers, n_heads in MODELS:
        model = Model(dim=dim, n_layers=layers, n_heads=n_heads)
        count = count_parameters(model, VOCAB)
        held = [on_each(model, number) for number in DEVICES]
        lines.append(row(f"{count / 1e9:.2f} billion", f"{dim} x {layers}", *held))
    return "".join(lines)


def on_each(model: Model, devices: int) -> str:
    """Strategy and bytes of weights, gradients and AdamW's moments, if they fit."""
    block, outside = weights_by_place(model, VOCAB)
    weights = 4 * count_parameters(model, VOCAB)
    needs = Needs(weights, weights, 2 * weights, FOR_ACTIVATIONS, block, outside)
    strategy = choose(needs, devices, DEVICE_BYTES).strategy
    held = held_by(strategy, needs, devices)
    if held.total > DEVICE_BYTES:
        return "too large"
    size = f"{(held.total - FOR_ACTIVATIONS) / 10**9:.1f} GB"
    return f"{strategy}, {size}" if devices > 1 else size


if __name__ == "__main__":
    write_text(TARGET, settings_page())
    write_text(SCALING, scaling_table())
