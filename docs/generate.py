"""Writes docs/settings.rst from the lines of the code: ``python docs/generate.py``."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from slangmod.files import write_text
from slangmod.settings.catalog import Key, arrays, catalog, tables
from slangmod.settings.literals import literal
from slangmod.settings.sections import Section, Stage
from slangmod.settings.shapes import Known
from slangmod.settings.stages import MAY_CHANGE

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


if __name__ == "__main__":
    write_text(TARGET, settings_page())
