"""A TOML file as a table and the lines of its keys, or one line of error.

Whatever the file holds, reading it ends soon, in bounded memory, and fails only with
SettingsError.
"""

from pathlib import Path
from typing import Any

import tomli

from slangmod.errors import SettingsError
from slangmod.reading import open_regular, read_limited
from slangmod.settings import scan
from slangmod.settings.literals import dotted, printable

LARGEST = 1 << 20
"""Bytes that a configuration may have."""

PRESETS = Path(__file__).with_name("presets")

Read = tuple[dict[str, Any], dict[scan.Key, int]]
"""A table, and the line of each key in it."""


def presets() -> tuple[str, ...]:
    """The names of the presets, sorted."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.toml")))


def read_preset(name: str) -> Read:
    """The preset ``name``, one of ``presets()``."""
    return parse_toml(read_limited(PRESETS / f"{name}.toml", LARGEST), f"preset:{name}")


def read_toml(path: Path, *, piped: bool = False) -> Read:
    """The table in the file ``path``, and the line of each key in it.

    ``piped``: it may be a pipe, as of a user who names one. Raises SettingsError,
    naming file, line and column as far as there are such.
    """
    shown = printable(str(path))
    try:
        with path.open("rb") if piped else open_regular(path) as stream:
            content = stream.read(LARGEST + 1)
    except FileNotFoundError:
        raise SettingsError(f"{shown}: no such file") from None
    except IsADirectoryError:
        raise SettingsError(f"{shown}: is a folder; name a TOML file in it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        reason = printable(reason[:1].lower() + reason[1:])
        raise SettingsError(f"{shown}: cannot be read: {reason}") from None
    if len(content) > LARGEST:
        raise SettingsError(f"{shown}: larger than 1 MiB; no configuration needs that")
    return parse_toml(content, shown)


def parse_toml(content: bytes, place: str) -> Read:
    """The table that ``content`` spells, and the line of each key in it.

    A byte order mark is skipped. Raises SettingsError with ``place``, line and column.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _position(content, error.start)
        raise SettingsError(
            f"{place}:{line}:{column}: not valid UTF-8: byte "
            f"0x{content[error.start]:02x}; save the file as UTF-8"
        ) from None
    lines = scan.Lines({}, {})
    try:
        lines = scan.lines_of(text)
        return tomli.loads(text), lines.first
    except scan.LimitError as error:
        reason = f"{error.line}:{error.column}: {error.what}; no configuration needs it"
    except tomli.TOMLDecodeError as error:
        where = f"{error.lineno}:{error.colno}"
        reason = f"{where}: not valid TOML: {_reason(error, lines)}"
    except (ValueError, RecursionError) as error:
        reason = f" not valid TOML: {printable(str(error))}"
    raise SettingsError(f"{place}:{reason}")


def _position(content: bytes, at: int) -> tuple[int, int]:
    """Line and column, both from 1, of the byte ``at``."""
    line = content.count(b"\n", 0, at) + 1
    return line, at - content.rfind(b"\n", 0, at)


def _reason(error: tomli.TOMLDecodeError, lines: scan.Lines) -> str:
    """What is wrong, as tomli says it; of what is there twice the key and the line."""
    reason = printable(str(error.msg))
    path = lines.again.get(error.lineno)
    if reason.startswith("Cannot") and path is not None:
        return f"'{dotted(path)}' is set already, in line {lines.first[path]}"
    return reason[:1].lower() + reason[1:]
