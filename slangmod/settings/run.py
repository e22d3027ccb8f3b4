"""The settings of a run that exists: its own, save for the few that may change."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from slangmod.errors import SettingsError
from slangmod.settings.catalog import Key
from slangmod.settings.check import abridged
from slangmod.settings.entries import Entry
from slangmod.settings.literals import brief, printable
from slangmod.settings.load import resolve
from slangmod.settings.paths import run_name
from slangmod.settings.resolved import DEFAULT, PATHS, Resolved
from slangmod.settings.sections import Settings
from slangmod.settings.show import assignment
from slangmod.settings.values import value_at, values_of

PLACE = (("name",), ("workdir",), ("base",))
"""Settings that say which run is meant, or where others come from."""


def left_alone(path: Key) -> str:
    """What to do instead of giving another value for ``path``."""
    del path
    return "leave that as it is, or train another run"


def load_run_settings(
    config: Path,
    given: Resolved,
    changeable: Iterable[str] = (),
    workdir: str | Path | None = None,
    *,
    complete: bool = False,
) -> Settings:
    """The settings of ``load_run``, without their origins."""
    return load_run(config, given, changeable, workdir, complete=complete).settings


def load_run(
    config: Path,
    given: Resolved,
    changeable: Iterable[str] = (),
    workdir: str | Path | None = None,
    *,
    complete: bool = False,
    way_out: Callable[[Key], str] = left_alone,
) -> Resolved:
    """What the run's ``config`` says, with what was ``given`` and is ``changeable``.

    ``changeable`` names settings, or sections for all settings in them. The name is
    that of the run's folder, and ``workdir`` says where that was found, so that both
    can be moved. ``complete``: what is given describes the whole run, so that defaults
    and presets count as given. Raises SettingsError that lists everything else that
    was given and is not what the run has, each with its ``way_out``.
    """
    run = with_old_origins(resolve(config), config)
    problems, changes = [], []
    for entry in _everything(given, run) if complete else given.given():
        theirs = value_at(run.settings, entry.path)
        if entry.path in PLACE or _same(entry, theirs):
            continue
        if may_change(entry.path, changeable):
            changes.append(entry)
        else:
            problems.append(
                f"{entry.subject()}: the run has {brief(theirs)}; {way_out(entry.path)}"
            )
    if problems:
        raise SettingsError(*abridged(problems))
    place = {"name": run_name(config.absolute().parent)}
    if workdir is not None:
        place["workdir"] = str(Path(workdir).absolute())
    return run.changed(changes).with_values(place, "where the run is")


def with_old_origins(run: Resolved, config: Path) -> Resolved:
    """``run``, whose values come from where the comments in its ``config`` say.

    A line that was seen to be changed since slangmod wrote it is its own origin.
    """
    default = Settings()
    lines = config.read_text("utf-8-sig").splitlines()
    history = {}
    for path, (entry, *_) in run.history.items():
        number = entry.place.removeprefix(f"{printable(str(config))}:")
        line = lines[int(number) - 1] if number.isdecimal() else ""
        written = assignment(path, entry.value)
        comment = line.removeprefix(written).lstrip()
        is_ours = line.startswith(written) and comment.startswith("# ")
        origin = comment.removeprefix("# ") if is_ours else entry.place
        if origin != DEFAULT:
            history[path] = (replace(entry, place=origin),)
        elif path not in PATHS and entry.value != value_at(default, path):
            history[path] = (entry,)
    return Resolved(run.settings, history)


def _everything(given: Resolved, run: Resolved) -> list[Entry]:
    """What ``given`` says of every setting, and of all that ``run`` has besides."""
    paths = dict.fromkeys(
        path for one in (given, run) for path, _ in values_of(one.settings)
    )
    return [
        given.setter(path) or Entry(path, value_at(given.settings, path), DEFAULT)
        for path in paths
    ]


def may_change(path: Key, changeable: Iterable[str]) -> bool:
    """Whether ``changeable`` names the setting at ``path`` or a section it is in."""
    names = [tuple(name.split(".")) for name in changeable]
    return any(path[: len(name)] == name for name in names)


def _same(entry: Entry, theirs: Any) -> bool:
    if entry.path in PATHS and entry.value is not None and theirs is not None:
        return bool(Path.cwd() / entry.value == Path.cwd() / theirs)
    return bool(entry.value == theirs)
