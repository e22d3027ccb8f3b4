"""Writes docs/settings.rst from the lines of the code: ``python docs/generate.py``."""

from pathlib import Path

from slangmod.files import write_text
from slangmod.settings.catalog import catalog, tables
from slangmod.settings.literals import literal
from slangmod.settings.shapes import Known

TARGET = Path(__file__).with_name("settings.rst")

HEAD = """\
.. Written by ``python docs/generate.py`` from slangmod/settings/sections.py.

Settings
========

Every setting, as it is checked and as ``slangmod config explain`` tells it. In a TOML
file a setting stands in its table; on the command line it is ``--table.name value``, in
the environment ``SLM_TABLE__NAME``. Later ones win: defaults, preset (``size``),
``base`` files, the TOML file, environment, command line. The text ``"none"`` unsets a
setting that may be unset.
"""


def settings_page() -> str:
    """The page as it should be."""
    parts = [HEAD]
    for path, section in tables().items():
        known = [one for one in catalog().values() if one.path[:-1] == path]
        title = f"[{'.'.join(path)}]" if path else "Top level"
        parts.append(f"\n{title}\n{'-' * len(title)}\n")
        parts.append(f"\n{sentence(section.__doc__ or '')}\n")
        parts.append(
            "\n.. list-table::\n   :header-rows: 1\n   :widths: 22 24 14 40\n\n"
        )
        parts.append(row("setting", "takes", "default", "meaning"))
        parts.extend(map(row_of, known))
    return "".join(parts)


def row_of(known: Known) -> str:
    """The row of one setting."""
    limits = known.range_in_words()
    takes = " or ".join(
        f'``"{word}"``' if word in known.words else word
        for word in known.type_in_words().split("|")
    )
    default = "unset" if known.default is None else f"``{literal(known.default)}``"
    unit = f" ({known.unit})" if known.unit else ""
    return row(
        f"``{known.path[-1]}``",
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
