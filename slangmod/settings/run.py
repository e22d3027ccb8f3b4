"""The settings of a run that exists: its own, save for the few that may change."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from slangmod.errors import SettingsError
from slangmod.reading import read_limited
from slangmod.settings.catalog import Key
from slangmod.settings.check import abridged
from slangmod.settings.entries import Entry
from slangmod.settings.literals import brief, printable
from slangmod.settings.load import ON_LOADING, resolve
from slangmod.settings.paths import run_name
from slangmod.settings.places import Tables, free_table
from slangmod.settings.read import LARGEST
from slangmod.settings.resolved import DEFAULT, PATHS, Resolved
from slangmod.settings.sections import Settings
from slangmod.settings.show import assignment
from slangmod.settings.values import counts_of, value_at, values_of

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


def never(path: Key) -> bool:
    """No setting is free."""
    del path
    return False


def load_run(
    config: Path,
    given: Resolved,
    changeable: Iterable[str] = (),
    workdir: str | Path | None = None,
    *,
    complete: bool = False,
    free: Callable[[Key], bool] = never,
    on_top: Sequence[tuple[str, str]] = (),
    way_out: Callable[[Key], str] = left_alone,
) -> Resolved:
    """What the run's ``config`` says, with what was ``given`` and is ``changeable``.

    ``changeable`` names settings, or sections for all settings in them, and ``free``
    tells of others. The name is that of the run's folder, and ``workdir`` says where
    that was found, so that both can be moved. ``complete``: what is given describes the
    whole run, so that defaults and presets count as given. ``on_top``: flags that are
    judged together with what the run has, such as tables of arrays. Raises
    SettingsError that lists everything else that was given and is not what the run has,
    each with its ``way_out``.
    """
    run = with_old_origins(resolve(config), config)
    entries = _everything(given, run) if complete else given.given()
    entries += [one for one in resolve(config, on_top).given() if one.named]
    differing = _differing(entries, run.settings)
    problems = [
        f"{entry.subject()}: the run has {brief(value_at(run.settings, entry.path))}; "
        f"{way_out(entry.path)}"
        for entry in differing
        if not (may_change(entry.path, changeable) or free(entry.path))
    ]
    if problems:
        raise SettingsError(*abridged(problems))
    changes = [
        one
        for entry in differing
        if _can_change(entry)
        for one in (entry, *_within(entry, given))
    ]
    place = {"name": run_name(config.absolute().parent)}
    if workdir is not None:
        place["workdir"] = str(Path(workdir).absolute())
    return run.changed(changes).with_values(place, "where the run is")


def with_old_origins(run: Resolved, config: Path) -> Resolved:
    """``run``, whose values come from where the comments in its ``config`` say.

    A line that was seen to be changed since slangmod wrote it is its own origin.
    """
    default = Settings()
    lines = read_limited(config, LARGEST).decode("utf-8-sig").splitlines()
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


def _differing(entries: Iterable[Entry], run: Settings) -> list[Entry]:
    """Those that say other than ``run``; of an array with more or fewer tables one."""
    found = [
        entry
        for entry in entries
        if entry.path not in PLACE and not _same(entry, value_at(run, entry.path))
    ]
    counts = [one.path for one in found if isinstance(one.value, Tables)]
    return [
        entry
        for entry in found
        if entry.path in counts or not may_change(entry.path, map(".".join, counts))
    ]


def _can_change(entry: Entry) -> bool:
    """Whether the value can be put in place of another.

    Some act only where settings are loaded, and what a free table holds is never unset.
    """
    if entry.value is None and free_table(entry.path):
        return False
    return ".".join(entry.path) not in ON_LOADING


def _within(entry: Entry, given: Resolved) -> Iterator[Entry]:
    """All that is given of the tables of an array, if ``entry`` says how many."""
    if isinstance(entry.value, Tables):
        for path, value in values_of(given.settings):
            if path[: len(entry.path)] == entry.path:
                yield given.setter(path) or Entry(path, value, DEFAULT)


def _everything(given: Resolved, run: Resolved) -> list[Entry]:
    """What ``given`` says of every setting, and of all that ``run`` has besides."""
    paths = dict.fromkeys(
        path
        for one in (given, run)
        for path, _ in (*counts_of(one.settings), *values_of(one.settings))
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
