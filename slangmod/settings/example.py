"""The example file: every setting with its default and its meaning.

python -m slangmod.settings.example > config.example.toml
"""

from textwrap import wrap

from slangmod.settings.catalog import Key, Known, arrays, catalog, tables
from slangmod.settings.literals import literal

HEAD = """\
#:schema ./slangmod.schema.json

# Every setting of slangmod with its default value. A file needs only what it changes.
# "none" unsets what may be unset. Values come from, weakest first: defaults, the preset
# that `size` names, the files that `base` names, this file, variables such as
# SLM_TRAIN__BATCH_SIZE, and flags such as --train.batch_size.
#
# Editors that know TOML complete and check this file by the schema that the first line
# names; `slangmod config schema > slangmod.schema.json` writes it.
"""
WIDTH = 88


def example() -> str:
    """A TOML file that changes nothing and explains everything."""
    parts = [HEAD]
    section: Key | None = None
    for known in catalog().values():
        table = known.path if known.free else known.path[:-1]
        if table != section:
            section = table
            parts.append(_title(table))
        if not known.free:
            parts.append(_setting(known, known.path[-1]))
    parts += map(_array, arrays())
    return "\n".join(parts)


def _array(array: Key) -> str:
    """One table of an array, as a comment: there are none by default."""
    section = arrays()[array]
    lines = [f"\n# {section.__doc__}"]
    lines.append(f"# [[{'.'.join(array)}]]")
    for known in catalog(section).values():
        text = _setting(known, known.name, WIDTH - 2)
        lines += [f"# {line}" for line in text.splitlines()]
    return "\n".join(lines)


def _title(table: Key) -> str:
    if not table:
        return "\n# Of no section."
    section = tables().get(table)
    about = section.__doc__ if section else catalog()[".".join(table)].meaning
    lines = wrap(about or "", WIDTH, initial_indent="# ", subsequent_indent="#   ")
    return "\n".join(["", *lines, f"[{'.'.join(table)}]"])


def _setting(known: Known, name: str, width: int = WIDTH) -> str:
    """The meaning as a comment, then the assignment."""
    unit = f" [{known.unit}]" if known.unit else ""
    limits = known.range_in_words()
    words = ", ".join(sorted(known.words))
    parts = [known.meaning + unit, f"one of {words}" if words else "", limits]
    text = "; ".join(filter(None, parts))
    lines = wrap(text, width, initial_indent="# ", subsequent_indent="#   ")
    return "\n".join([*lines, f"{name} = {literal(known.default)}"])
