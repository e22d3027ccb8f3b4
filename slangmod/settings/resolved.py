"""Settings together with where each value came from and what it overrode."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as with_fields
from pathlib import Path
from typing import Any

from slangmod.settings.catalog import Key
from slangmod.settings.entries import Entry, of_python
from slangmod.settings.literals import brief
from slangmod.settings.places import place_of
from slangmod.settings.sections import Settings
from slangmod.settings.totals import totals_of
from slangmod.settings.values import counts_of, value_at, values_of

DEFAULT = "default"
PRESET = "preset:"
"""What the place of a value from a preset begins with."""

PATHS = (("workdir",), ("files", "raw"), ("files", "tokenizer"), ("train", "init_from"))
"""Settings that are paths relative to the current folder."""


@dataclass(frozen=True)
class Resolved:
    """Settings and their history; what has no history is a default.

    ``history`` holds for each value that was set who set it, the strongest first. What
    tables add up to has none, where somebody has set another value for it.
    """

    settings: Settings
    history: Mapping[Key, tuple[Entry, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Forget who set what tables add up to otherwise."""
        overruled = {
            path
            for path in (tuple(name.split(".")) for name in totals_of(self.settings))
            if path in self.history
            and self.history[path][0].value != value_at(self.settings, path)
        }
        if overruled:
            kept = {p: one for p, one in self.history.items() if p not in overruled}
            object.__setattr__(self, "history", kept)

    @classmethod
    def of(cls, settings: Settings, place: str = "") -> "Resolved":
        """Settings that were made in Python: what is not default came from there.

        ``place`` says where exactly.
        """
        default = Settings()
        totals = totals_of(settings)
        return cls(
            settings,
            {
                path: (Entry(path, value, place),)
                for path, value in [*counts_of(settings), *values_of(settings)]
                if (value != value_at(default, path) or place_of(path).table)
                and ".".join(path) not in totals
            },
        )

    def origin(self, path: Key) -> str:
        """``second.toml:4, was 0.0003 in first.toml:3``, or ``default``."""
        entries = self.history.get(path, ())
        if not entries:
            return DEFAULT
        overrode = [f"was {brief(one.value)} in {one.origin()}" for one in entries[1:]]
        return ", ".join([entries[0].origin(), *overrode])

    def setter(self, path: Key) -> Entry | None:
        """Who set the value at ``path``; None for a default."""
        return next(iter(self.history.get(path, ())), None)

    def given(self) -> list[Entry]:
        """What was asked for one by one: neither default nor from a preset."""
        strongest = (entries[0] for entries in self.history.values())
        return [one for one in strongest if not one.place.startswith(PRESET)]

    def without(self, drop: Callable[[Entry], bool]) -> tuple["Resolved", list[Entry]]:
        """With defaults for what ``drop`` says of who set it; and what was dropped.

        Settings of sections alone; no rule is checked anew.
        """
        dropped = [one for one, *_ in self.history.values() if drop(one)]
        default, settings = Settings(), self.settings
        for section, key in (entry.path for entry in dropped):
            new = {key: value_at(default, (section, key))}
            part = getattr(settings, section).model_copy(update=new)
            settings = settings.model_copy(update={section: part})
        paths = {entry.path for entry in dropped}
        kept = {path: one for path, one in self.history.items() if path not in paths}
        return Resolved(settings, kept), dropped

    def changed(self, entries: Iterable[Entry]) -> "Resolved":
        """With what ``entries`` say on top.

        Raises SettingsError if it is impossible.
        """
        on_top = {entry.path: entry for entry in entries}
        values = {".".join(path): entry.value for path, entry in on_top.items()}
        history = {
            path: (entry, *self.history.get(path, ())) for path, entry in on_top.items()
        }
        settings = self.settings.replace(**values)
        return Resolved(settings, {**self.history, **history})

    def with_values(self, values: Mapping[str, Any], place: str) -> "Resolved":
        """With ``values`` by dotted name on top, which came from ``place``.

        What is the same already keeps its origin. Raises SettingsError.
        """
        new = [
            with_fields(entry, place=place)
            for entry in of_python(values)
            if entry.value != value_at(self.settings, entry.path)
        ]
        return self.changed(new)

    def absolute(self, folder: Path) -> "Resolved":
        """With paths that hold everywhere; those of now are seen from ``folder``."""
        changes = {}
        for path in PATHS:
            value = value_at(self.settings, path)
            if value is not None:
                changes[".".join(path)] = str(folder / value)
        return Resolved(self.settings.replace(**changes), self.history)
