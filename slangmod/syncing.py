"""What makes folders and the names in them durable: they outlive a loss of power."""

import os
from contextlib import suppress
from pathlib import Path

from slangmod.errors import name_place


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable (a rename is, only once its folder is)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make ``folder`` and those above it that are missing, their names durable.

    One whose name cannot be made so is not left, lest the next try take it for durable.
    Raises OSError, naming the folder.
    """
    missing = [one for one in (folder, *folder.parents) if not one.is_dir()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        try:
            sync_folder(one.parent)
        except OSError as error:
            name_place(error, one)
            with suppress(OSError):  # others may have used it meanwhile
                one.rmdir()
            raise


def sync_tree(folder: Path) -> None:
    """Make every file and folder below ``folder`` durable."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            descriptor = os.open(Path(root) / name, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(Path(root))
