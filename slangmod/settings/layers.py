"""The sources of settings, stacked: which files, which preset, in which order."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slangmod.errors import SettingsError
from slangmod.settings.catalog import Key, catalog
from slangmod.settings.entries import Entry, of_table
from slangmod.settings.literals import NONE, printable
from slangmod.settings.read import presets, read_preset, read_toml
from slangmod.settings.resolved import PRESET
from slangmod.settings.suggest import alternatives, among

SIZE: Key = ("size",)
BASE: Key = ("base",)


@dataclass
class Layers:
    """Entries source by source, weakest first, and what is wrong with the sources."""

    entries: list[list[Entry]]
    problems: list[str] = field(default_factory=list)


def stack(
    file: str | Path | None, stronger: Sequence[list[Entry]], *, piped: bool = False
) -> Layers:
    """Preset, base files, ``file``, and what is ``stronger``, weakest first.

    The preset and the bases are those that the strongest source asks for. ``piped``:
    ``file`` may be a pipe. A source that cannot be read is left out, and the reason is
    among the problems.
    """
    problems: list[str] = []
    files = _Files(problems)
    if file is not None:
        files.add(Path(file), piped=piped)
    base = _strongest(BASE, [*reversed(stronger), *files.entries])
    while base is not None:
        base = files.follow(base)
    strongest_first = [*reversed(stronger), *files.entries]
    size = _strongest(SIZE, strongest_first)
    weakest_first = strongest_first[::-1]
    if size is not None and size.value in catalog()["size"].words:
        weakest_first.insert(0, preset_entries(str(size.value)))
    return Layers(weakest_first, problems)


def preset_entries(name: str) -> list[Entry]:
    """The values of the preset ``name``, one of ``presets()``."""
    table, _ = read_preset(name)
    return of_table(table, {}, PRESET + name)


def _strongest(key: Key, strongest_first: Iterable[list[Entry]]) -> Entry | None:
    """The word that is set for ``key``; None where it is unset or no word."""
    for entries in strongest_first:
        for entry in entries:
            if entry.path == key:
                is_word = isinstance(entry.value, str) and entry.value != NONE
                return entry if is_word else None
    return None


class _Files:
    """The TOML file and the chain of its bases, nearest first."""

    def __init__(self, problems: list[str]) -> None:
        self.entries: list[list[Entry]] = []
        self.problems = problems
        self.seen: dict[str, str] = {}
        self.folder = Path()

    def add(self, path: Path, *, piped: bool = False) -> list[Entry]:
        """Read ``path``; relative bases are seen from its folder from now on."""
        self.folder = path.parent
        try:
            table, lines = read_toml(path, piped=piped)
        except SettingsError as error:
            self.problems += error.problems
            return []
        self.seen[os.path.realpath(path)] = str(path)
        self.entries.append(of_table(table, lines, printable(str(path))))
        return self.entries[-1]

    def follow(self, base: Entry) -> Entry | None:
        """Read what ``base`` names, and return the base that this names in turn."""
        if base.value.startswith(PRESET):
            self.add_preset(base)
            return None
        path = (Path() if base.named or not base.place else self.folder) / base.value
        is_there = os.path.exists(path)  # noqa: PTH110 (False for any odd name)
        if is_there and os.path.realpath(path) in self.seen:
            circle = " -> ".join([*self.seen.values(), str(path)])
            self.problems.append(
                f"{base.subject()}: base files go in a circle: {printable(circle)}"
            )
            return None
        if not is_there:
            self.problems.append(
                f"{base.subject()}: no such file; base is relative to the file that "
                'names it, or "preset:NAME"'
            )
            return None
        return _strongest(BASE, [self.add(path)])

    def add_preset(self, base: Entry) -> None:
        """Add the preset that ``base`` names."""
        name = base.value.removeprefix(PRESET)
        if name in presets():
            self.entries.append(preset_entries(name))
            return
        near = alternatives(PRESET + found for found in among(name, presets()))
        hint = f"; did you mean {near}?" if near else ""
        choice = ", ".join(PRESET + known for known in presets())
        self.problems.append(f"{base.subject()}: choose one of {choice}{hint}")
