"""Files by which processes tell each other where they are."""

import shutil
from pathlib import Path
from typing import Any

from slangmod.reading import read_json


def read(path: Path) -> dict[str, Any]:
    """What a file of the meeting says; nothing where it is not there, or not sound."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def remove(path: Path) -> None:
    """Remove what a meeting has left."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
