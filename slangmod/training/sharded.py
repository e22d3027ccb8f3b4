"""A checkpoint that several processes write together, each its own rows.

There is one folder aside, which the leader makes and renames. Every process writes its
files into it, syncs them and reads them back; then all tell the leader their sizes and
hashes. Whatever goes wrong on any of them, all of them raise the same OSError, and
nothing is left. No process ever has more than its own rows.
"""

import errno
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slangmod.errors import RunError
from slangmod.files import folder_aside, sweep_asides
from slangmod.parallel.team import Team
from slangmod.reading import read_json
from slangmod.syncing import sync_folder
from slangmod.training.checkpoint import (
    check_written,
    checkpoint_path,
    problems_of,
    set_aside,
    write_file,
)
from slangmod.training.disk import refuse_without_room
from slangmod.training.manifest import MANIFEST, manifest_of, text_of
from slangmod.training.snapshot import STATE, Snapshot
from slangmod.training.tensor_file import Written, pieces


class Together:
    """One checkpoint on its way; all processes call the same methods in this order.

    ``begin`` and ``end`` wait for the others; ``write`` does not, and may be left to
    a thread. ``there`` says after ``begin`` that nothing needs to be written.
    """

    def __init__(self, folder: Path, snapshot: Snapshot, team: Team) -> None:
        self._snapshot, self._team = snapshot, team
        self.path = checkpoint_path(folder, snapshot.step)
        self.there = False
        self._stack = ExitStack()
        self._aside = self.path
        self._told: dict[str, Any] = {}

    def begin(self) -> None:
        """Make the folder aside, unless the checkpoint is there; OSError if refused."""
        if agreed(self._team, self._is_there):
            same = self._team.texts(json.dumps(plain(self._snapshot.meant())))
            self.there = bool(agreed(self._team, lambda: self._keeps(same)))
        if not self.there:
            self._aside = Path(agreed(self._team, self._make_aside))

    def write(self) -> None:
        """Write the own files and read them back; ``end`` tells what goes wrong."""
        try:
            files = {
                name: write_file(self._aside / name, pieces(tensors))
                for name, tensors in self._snapshot.tensors.items()
            }
            check_written(self._aside, files, self.path)
            self._told = {"files": plain(files)}
        except Exception as error:  # whatever it is, the others must know of it
            self._told = told(error)

    def end(self) -> Path:
        """Add state and manifest, and let it take its place; OSError if refused."""
        if self.there:
            return self.path
        all_told = [json.loads(one) for one in self._team.texts(json.dumps(self._told))]

        agreed(self._team, lambda: self._finish(all_told))
        return self.path

    def _is_there(self) -> str:
        """Whether something sound is at the place; what is not goes out of the way."""
        sweep_asides(self.path.parent)
        if not self.path.exists():
            return ""
        if not problems_of(self.path):
            return "yes"
        set_aside(self.path)
        return ""

    def _keeps(self, same: list[str]) -> str:
        """Whether what is there is what all would write; else it is to be replaced.

        What is kept is seen to be durable.
        """
        files = read_json(self.path / MANIFEST)["files"]
        meant = {name: one for text in same for name, one in json.loads(text).items()}
        if {**files, **meant} != files:
            return ""
        sync_folder(self.path.parent)
        return "yes"

    def _make_aside(self) -> str:
        refuse_without_room(self.path, self._snapshot.size)
        return str(self._stack.enter_context(folder_aside(self.path, own=True)))

    def _finish(self, all_told: Sequence[Mapping[str, Any]]) -> str:
        """What the leader adds; the folder is gone if anybody failed."""
        snapshot, aside = self._snapshot, self._aside
        with self._stack:
            for one in all_told:
                raise_told(one)
            listed = {n: f for one in all_told for n, f in one["files"].items()}
            files = {name: Written(**one) for name, one in listed.items()}
            own = {STATE: write_file(aside / STATE, iter([snapshot.text]))}
            files |= own
            manifest = manifest_of(
                snapshot.step, files, snapshot.inputs, snapshot.index
            )
            text = text_of(manifest).encode()
            own[MANIFEST] = write_file(aside / MANIFEST, iter([text]))
            check_written(aside, own, self.path)
        return ""


def write_together(folder: Path, snapshot: Snapshot, team: Team) -> Path:
    """Write a checkpoint of which ``snapshot`` has the rows of this process.

    When this returns, all of it will outlive anything, as after ``write_checkpoint``.
    """
    writing = Together(folder, snapshot, team)
    writing.begin()
    if not writing.there:
        writing.write()
    return writing.end()


def agreed(team: Team, act: Callable[[], str]) -> str:
    """What ``act`` gives the leader, who alone calls it; all raise what it raises."""
    said: dict[str, Any] = {}
    if team.leads:
        try:
            said = {"is": act()}
        except Exception as error:
            team.text(json.dumps(told(error)))  # else the others would wait for ever
            raise
    said = json.loads(team.text(json.dumps(said)))
    raise_told(said)
    return str(said["is"])


def told(error: Exception) -> dict[str, Any]:
    """``error`` in words that another process understands."""
    if isinstance(error, OSError):
        name = None if error.filename is None else str(error.filename)
        return {"error": [error.errno or errno.EIO, error.strerror or str(error), name]}
    if isinstance(error, RunError):
        return {"error": [None, str(error), "run"]}
    kind = "" if type(error) is RuntimeError else f"{type(error).__name__}: "
    return {"error": [None, f"{kind}{error}", None]}


def raise_told(said: Mapping[str, Any]) -> None:
    """Raise the error that another process has told of, if it has."""
    if "error" not in said:
        return
    number, reason, name = said["error"]
    if number is not None:
        raise OSError(number, reason, name)
    raise RunError(reason) if name else RuntimeError(reason)


def plain(files: Mapping[str, Written]) -> dict[str, dict[str, Any]]:
    """Sizes and hashes, ready for JSON."""
    return {name: asdict(known) for name, known in files.items()}
