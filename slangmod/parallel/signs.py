"""Files by which processes tell each other where they are."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from slangmod.files import MARKER, folder_aside, mark, remove_folder
from slangmod.reading import read_json


def make(folder: Path) -> None:
    """Make the folder of a meeting, unless it is there."""
    if not (folder / MARKER).is_file():
        with folder_aside(folder) as aside:
            mark(aside, {"made_by": "crew"})


def read(path: Path) -> dict[str, Any]:
    """What a file of the meeting says; nothing where it is not there, or not sound."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def remove(path: Path) -> None:
    """Remove what a meeting has left, as a whole: half of it would be nobody's."""
    with suppress(OSError):  # in the way of nothing
        if path.is_dir() and not path.is_symlink():
            remove_folder(path)
        else:
            path.unlink(missing_ok=True)
