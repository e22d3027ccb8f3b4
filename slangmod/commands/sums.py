"""Size and sha256 of what a run has recorded, from its end until it goes on.

Whoever goes on removes them before anything else, durably. So while they are there
nothing of slangmod's has changed those files, and what differs was changed by others.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from slangmod.errors import DataError, StoppedError
from slangmod.files import sha256_of, write_text
from slangmod.plugins import in_one_line
from slangmod.reading import (
    LARGEST_JSON,
    IrregularError,
    parsed,
    read_limited,
    refuse_link,
)
from slangmod.runs.directory import RunDir
from slangmod.settings.literals import brief
from slangmod.syncing import sync_folder
from slangmod.training.disk import trouble
from slangmod.training.manifest import (
    OWN,
    fault_of,
    is_as_written,
    own_hash,
    text_of,
    written_of,
)
from slangmod.training.tensor_file import Written

LOG = logging.getLogger(__name__)

FORMAT: Final = 1
MOST: Final = 99
"""Files of one record."""


NO_RECORD: Final = (
    *(IsADirectoryError, IrregularError),
    *(ValueError, KeyError, TypeError, AttributeError),
)
"""What reading something else in its place raises."""


def recorded_by(run: RunDir) -> Iterator[Path]:
    """The files that training writes and nothing else does, those that are there."""
    tables = run.steps, run.epochs, run.memory, run.speed
    for path in (*tables, run.samples, run.incidents, run.summary):
        if path.is_file():
            yield path


@contextmanager
def sums_at_end(run: RunDir) -> Iterator[None]:
    """Keep sums when the block ends the run, or stops it with a checkpoint saved.

    Those of before are gone while it is at work. Only for who holds the run's lock.
    """
    forget_sums(run)
    lock = run.lock_file.stat()
    try:
        yield
    except StoppedError:
        _keep_sums(run, lock)
        raise
    _keep_sums(run, lock)


def forget_sums(run: RunDir) -> None:
    """Remove the sums of a run, before anything is changed that they are of."""
    run.sums.unlink(missing_ok=True)
    sync_folder(run.root)


def _keep_sums(run: RunDir, lock: os.stat_result) -> None:
    """Write the sums; a warning where the disk refuses: the run has ended as it has.

    None where the folder, or its ``lock``, is no more the one that the run began with:
    another may be at work in it.
    """
    try:
        if not os.path.samestat(run.lock_file.stat(), lock):
            return
        sums = {path.name: asdict(_sum_of(path)) for path in recorded_by(run)}
        content: dict[str, Any] = {"format": FORMAT, "files": sums}
        write_text(run.sums, text_of({**content, OWN: own_hash(content)}))
    except OSError as error:
        LOG.warning(
            "%s; `slangmod verify` will know the tables of the run by their rows alone",
            trouble(run.sums, error),
        )


def _sum_of(path: Path) -> Written:
    return Written(path.stat().st_size, sha256_of(path))


def faults_of_sums(run: RunDir) -> tuple[tuple[str, ...], dict[Path, str]]:
    """The names of all files of which there are sums, and how those differ that do.

    Raises DataError if what is there are no sums, OSError where a disk refuses.
    """
    while True:
        sums = read_sums(run)
        faults = {
            path: fault
            for name, wanted in sums.items()
            if (fault := _fault(path := run.root / name, wanted))
        }
        # Else the run has gone on meanwhile, and what differs may be sound.
        if not faults or read_sums(run) == sums:
            return tuple(sums), faults


def _fault(path: Path, wanted: Written) -> str | None:
    if path.is_symlink():
        return "is a link, and no file was one"
    fault = fault_of(path, wanted)
    return f"{fault} when training ended" if fault and "written" in fault else fault


def read_sums(run: RunDir) -> Mapping[str, Written]:
    """Name, size and hash of each file; none where there is no record.

    Raises DataError if the file that is there holds something else.
    """
    path = run.sums
    refuse_link(path)
    try:
        text = read_limited(path, LARGEST_JSON).decode("utf-8")
        content = parsed(text)
        if not is_as_written(content, text):
            raise ValueError("differs from what was written")
        if content["format"] != FORMAT:
            raise ValueError(f"there is no format {brief(content['format'])}")
        files = content["files"]
        if len(files) > MOST:
            raise ValueError(f"lists more than {MOST} files")
        return {name: written_of(name, plain) for name, plain in files.items()}
    except FileNotFoundError:
        return {}
    except NO_RECORD as error:
        reason = getattr(error, "strerror", None) or in_one_line(error)
        raise DataError(
            f"{path}: is no record of the run's files ({reason}); remove it, then only "
            "rows of the tables are looked at"
        ) from None
