"""Whether two runs are equal, file by file and to the last bit.

Everything that is not compared stands in the tables at the top.
"""

import csv
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomli

from slangmod.training.times import PARTS

CLOCK_COLUMNS = ("seconds", "tokens_per_second")
"""Of steps.csv and epochs.csv."""

CLOCK_KEYS = {
    "cost": (
        *("seconds", "tokens_per_second", "peak_memory_bytes"),
        *("mfu", "peak_flops", "verdict", *(f"{part}_seconds" for part in PARTS)),
    )
}
"""Of summary.toml, by its tables."""

NAME_KEYS = ("name", "base")
"""Of config.toml, and of the settings that a checkpoint remembers: the run's name, and
the file that it was begun with, whose values the run's own config.toml has."""

STATE_KEYS = {"counters": ("seconds",), "times": PARTS}
"""Of state.json in a checkpoint."""

HASHES = {"files": ("state.json",)}, ("sha256",)
"""In manifest.json: size and hash of what differs for the reasons above, and its own
hash."""

FILES = ("train.log", "memory.csv", "speed.csv", "run.lock", ".sums.json")
"""The log tells of interruptions; how often memory and speed are measured is a matter
of time. The last has hashes of what these and the clock differ in."""


def differences(one: Path, other: Path, *, stopped: bool = False) -> list[str]:
    """Names of files in two run folders that differ, or that only one of them has.

    Which of the older checkpoints are left depends on where a run went on, which is
    kept: but for the newest, only those are compared that both have. One that was
    ``stopped`` by a signal may have put off an evaluation, which the checkpoint of
    that step then knows nothing of: of older ones only tensors are compared there.
    """
    left, right = contents(one), contents(other)
    newest = {newest_of(run) for run in (left, right)}
    shared = folders(left) & folders(right)
    names = {
        name
        for name in left.keys() | right.keys()
        if (folder := folder_of(name)) is None
        or folder in newest
        or (folder in shared and not (stopped and name.endswith("state.json")))
    }
    return sorted(
        name
        for name in names
        if name not in left or name not in right or left[name] != right[name]
    )


def folder_of(name: str) -> str | None:
    """The checkpoint that a file belongs to; None for all else, leftovers too."""
    match = re.match("checkpoints/(step-[0-9]+)/", name)
    return match and match[1]


def folders(files: Mapping[str, Any]) -> set[str]:
    """All checkpoints of a run."""
    return {folder for folder in map(folder_of, files) if folder}


def newest_of(files: Mapping[str, Any]) -> str:
    """The newest of them."""
    return max(folders(files))


def contents(run: Path) -> dict[str, Any]:
    """All files of a run by name, each as what must be equal in an equal run."""
    files = (path for path in run.rglob("*") if path.is_file())
    return {
        path.relative_to(run).as_posix(): READERS.get(path.name, digest)(path)
        for path in files
        if path.name not in FILES
    }


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table, but for what the clock says."""
    with path.open(newline="", encoding="utf-8") as stream:
        return [without(row, CLOCK_COLUMNS) for row in csv.DictReader(stream)]


def summary(path: Path) -> dict[str, Any]:
    """A summary, but for what time and memory it took."""
    return thinned(tomli.loads(path.read_text("utf-8")), CLOCK_KEYS)


def config(path: Path) -> dict[str, Any]:
    """Settings, but for names; comments tell where each value came from."""
    return without(tomli.loads(path.read_text("utf-8")), NAME_KEYS)


def state(path: Path) -> dict[str, Any]:
    """What a checkpoint holds in plain numbers, but for the time."""
    content = thinned(json.loads(path.read_text("utf-8")), STATE_KEYS)
    about = content["about"]
    settings = without(about["settings"], NAME_KEYS)
    return {**content, "about": {**about, "settings": settings}}


def manifest(path: Path) -> dict[str, Any]:
    """Sizes and hashes of a checkpoint's files, but for that with times in it."""
    files, own = HASHES
    return without(thinned(json.loads(path.read_text("utf-8")), files), own)


def digest(path: Path) -> str:
    """Of all bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


READERS: dict[str, Callable[[Path], Any]] = {
    "steps.csv": rows,
    "epochs.csv": rows,
    "summary.toml": summary,
    "config.toml": config,
    "state.json": state,
    "manifest.json": manifest,
}


def without(table: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


def thinned(
    tables: Mapping[str, Any], keys: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    """``tables`` without the keys that are listed for each."""
    return {
        name: without(table, keys[name]) if name in keys else table
        for name, table in tables.items()
    }
