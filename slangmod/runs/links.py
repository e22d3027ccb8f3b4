"""Links in the folder of a run, and where they lead."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from slangmod.errors import UserError
from slangmod.reading import NOWHERE


class StrayError(UserError):
    """A folder or a file of a run is a link that leads out of the working directory."""


def refuse_stray(root: Path, workdir: Path) -> None:
    """Raise StrayError if ``root``, or a file in it, lies outside of ``workdir``.

    A link in it to a folder is its owner's word: weights may lie elsewhere. What can be
    shown as text may not, or the page of a run from others would show a file of yours.
    """
    if root.is_symlink() and not os.path.lexists(os.path.realpath(root)):
        raise StrayError(f"{root}: {NOWHERE}")
    for path in (root, *_links_to_files(root)):
        if reason := _leads_astray(path, workdir):
            raise StrayError(f"{path}: {reason}")


def _links_to_files(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink() and not entry.is_dir():
                    yield folder / entry.name
    except OSError:
        return


def _leads_astray(path: Path, workdir: Path) -> str:
    """What is wrong with where links on the way to ``path`` lead; empty if nothing."""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "is a symbolic link that leads in a circle; remove it"
    # Unlike Path.resolve, this never raises.
    if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(workdir)):
        return ""
    return (
        "leads out of the working directory through a symbolic link; put what it leads "
        "to in its place, or set workdir to that place"
    )
