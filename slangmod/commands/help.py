"""The texts of ``--help``: all actions, or one with its flags and settings."""

from collections.abc import Iterable, Iterator
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING

from slangmod.commands import ALL, COMMANDS, Command, Flag

if TYPE_CHECKING:
    from slangmod.settings.shapes import Key, Known

USAGE = "slangmod ACTION [ACTION ...] [--toml FILE] [--name NAME] [--SECTION.KEY VALUE]"
COMMON = (
    ("--toml FILE", "read settings from FILE; default: slangmod.toml, if it is here"),
    ("--settings MODULE:NAME", "or take them from a Settings object in Python"),
    ("--SECTION.KEY VALUE", "override a setting; --KEY VALUE for those of no section"),
    ("--help", "this text; after an action its settings too"),
    ("--version", "the version"),
    ("--debug", "show where an error came from"),
)
ON_RUN = (
    "Works on the run of --name, or else on the newest, with the settings of that run; "
    "only what is listed here can be given otherwise."
)
ARRAY = (
    "Any number of tables [[{0}]] in a file; --{0}.N.KEY is for number N, the first of "
    "which is 1."
)
IN_A_STAGE = "what holds in this stage alone: settings of {}, and model.dropout"
MEANING = 8
"""Columns before the meaning of a setting, on the line below its flag."""


def overview() -> str:
    """All actions, grouped, a line each."""
    lines = [f"usage: {USAGE}"]
    group = ""
    for name, command in COMMANDS.items():
        if command.group != group:
            group = command.group
            lines += ["", f"{group}:"]
        lines.append(f"  {name:<16}{command.help}")
    lines += ["", "Flags:", *_rows(COMMON)]
    lines += ["", "slangmod ACTION --help lists the settings that an action obeys."]
    return "\n".join(lines) + "\n"


def of_family(first: str) -> str:
    """The actions that begin with the word ``first``, such as config."""
    rows = [
        (f"{name} {command.words}".strip(), command.help)
        for name, command in COMMANDS.items()
        if name.startswith(f"{first} ")
    ]
    usage = f"usage: slangmod {first} ACTION [--toml FILE] [--SECTION.KEY VALUE]"
    return "\n".join([usage, "", *_rows(rows, left=28)]) + "\n"


def of_action(name: str) -> str:
    """An action: its usage, flags, and settings with type, default, unit, meaning."""
    command = COMMANDS[name]
    flags = [(_typed(flag), _flag_help(flag)) for flag in command.flags]
    parts = ["usage: slangmod", name, command.words, *(f"[{one}]" for one, _ in flags)]
    if command.settings:
        parts += ["[--toml FILE]", "[--SECTION.KEY VALUE ...]"]
    lines = wrap(" ".join(filter(None, parts)), _width(), subsequent_indent="    ")
    lines += ["", *wrap(f"{command.help[0].upper()}{command.help[1:]}.", _width())]
    if command.on_run:
        lines += wrap(ON_RUN, _width())
    if flags:
        lines += ["", "Flags:", *_rows(flags)]
    return "\n".join([*lines, *_settings(command)]) + "\n"


def _typed(flag: Flag) -> str:
    return f"{flag.name} {flag.value}".strip()


def _flag_help(flag: Flag) -> str:
    choices = f": one of {', '.join(flag.choices)}" if flag.choices else ""
    return f"{flag.help}{choices}"


def _rows(rows: Iterable[tuple[str, str]], left: int = 24) -> Iterator[str]:
    """Two columns, the right one wrapped."""
    for name, text in rows:
        yield from wrap(
            text,
            _width(),
            initial_indent=f"  {name:<{left - 2}}",
            subsequent_indent=" " * left,
        )


def _settings(command: Command) -> Iterator[str]:
    """The settings that an action obeys, section by section, arrays of tables last."""
    if not command.settings:
        return
    from slangmod.settings.catalog import arrays, catalog, tables
    from slangmod.settings.sections import Stage
    from slangmod.settings.stages import MAY_CHANGE

    section = None
    for known in catalog().values():
        if not _obeys(command, known.path):
            continue
        if known.path[:-1] != section and not known.free:
            section = known.path[:-1]
            about = (
                (tables()[section].__doc__ or "") if section else "For every action."
            )
            title = f"[{'.'.join(section)}] {about}" if section else "General settings:"
            yield from ["", title]
        yield from _setting(known, known.name)
    for path, inner in arrays().items():
        if _obeys(command, path):
            name = ".".join(path)
            yield from ["", f"[[{name}]] {inner.__doc__}"]
            yield from wrap(ARRAY.format(name), _width())
            for known in catalog(inner).values():
                yield from _setting(known, f"{name}.N.{known.name}")
            if inner is Stage:
                yield "  --stage.N.SECTION.KEY VALUE"
                yield from _indented(IN_A_STAGE.format(", ".join(MAY_CHANGE)))


def _obeys(command: Command, path: "Key") -> bool:
    """Whether the help of ``command`` shows the setting, or the array, at ``path``."""
    from slangmod.settings.run import may_change

    return command.settings == (ALL,) or may_change(path, command.settings)


def _setting(known: "Known", name: str) -> Iterator[str]:
    """A setting: flag and type on one line, the rest below."""
    yield f"  --{name}{'.KEY' * known.free} {_type(known)}"
    from slangmod.settings.literals import brief

    default = "none" if known.default is None else brief(known.default)
    unit = f" {known.unit}" if known.unit and known.default is not None else ""
    parts = [known.meaning, *filter(None, [known.range_in_words()])]
    if not known.free:
        parts.append(f"default {default}{unit}")
    yield from _indented("; ".join(parts))


def _indented(text: str) -> Iterator[str]:
    """What a setting means, below its flag."""
    indent = " " * MEANING
    yield from wrap(text, _width(), initial_indent=indent, subsequent_indent=indent)


def _type(known: "Known") -> str:
    """The type, in capitals but for words to be typed as they are."""
    parts = known.type_in_words().split("|")
    kinds = {"integer", "number", "text", "list", "table"}
    return "|".join(part.upper() if part in kinds else part for part in parts)


def _width() -> int:
    return max(60, min(100, get_terminal_size((88, 24)).columns))
