"""The folder of a sweep: held by one process, no way to another place, known again."""

import logging
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from slangmod.commands.signals import Signals
from slangmod.commands.sweep_plan import Plan, fingerprint
from slangmod.commands.sweep_report import REPORT, read_report
from slangmod.commands.sweeping import ENDED
from slangmod.errors import DataError, UserError
from slangmod.files import read_mark
from slangmod.locks import locked
from slangmod.reading import refuse_link
from slangmod.runs.directory import RunDir
from slangmod.runs.links import refuse_stray
from slangmod.runs.logfile import RunLog
from slangmod.settings.levels import level_of
from slangmod.settings.paths import RUNS
from slangmod.syncing import make_folder

LOG = logging.getLogger(__name__)

OURS = ("sweep.*", "study.*")
"""What lies in the folder of a sweep before it has begun."""


@contextmanager
def begun(plan: Plan, way_on: str) -> Iterator[Signals]:
    """The folder of the sweep, held and logged to; one that stays empty is removed.

    Raises DataError for a folder that has links in it, or trials that lead astray.
    """
    made = not plan.folder.exists()
    make_folder(plan.folder)
    refuse_ways_out(plan.folder)
    for trial in sorted(plan.folder.glob("trial-*")):
        refuse_stray(trial, Path(plan.settings.workdir))
    log = RunLog(level_of(plan.settings.log_level))
    logger = logging.getLogger("slangmod")
    logger.addHandler(log)
    try:
        with (
            Signals(way_on=way_on) as signals,
            locked(plan.folder / "sweep.lock", f"sweep '{plan.name}'"),
        ):
            log.open(plan.folder / "sweep.log")
            yield signals
    finally:
        logger.removeHandler(log)
        log.close()
        if made and read_mark(plan.folder) is None:
            for leftover in (one for names in OURS for one in plan.folder.glob(names)):
                leftover.unlink()
            plan.folder.rmdir()


def refuse_ways_out(folder: Path) -> None:
    """Raise DataError if something in ``folder`` is a link, or no file and no folder.

    Whatever a sweep writes stays in its folder, and no pipe keeps it waiting.
    """
    for entry in sorted(folder.iterdir()):
        refuse_link(entry)
        with suppress(FileNotFoundError):  # others write aside, and rename
            mode = entry.stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise DataError(f"{entry}: is neither a file nor a folder; remove it")


def known_as(plan: Plan) -> tuple[str, str]:
    """By which the trials of this folder are known, and the name of their study.

    What the folder does not say, or not in words, is as for a new sweep.
    """
    about = read_mark(plan.folder) or {}
    home, name = about.get("home"), about.get("study")
    return (
        home if isinstance(home, str) and home else uuid.uuid4().hex,
        name if isinstance(name, str) and name else plan.name,
    )


def unfinished(plan: Plan) -> str:
    """The newest sweep that looks for the same and has not ended; empty if none."""
    found: list[tuple[float, Path]] = []
    for path in Path(plan.settings.workdir, RUNS).glob(f"*/{REPORT}"):
        with suppress(OSError, UserError):  # links that lead nowhere, or out of here
            RunDir.of(plan.settings.workdir, path.parent.name)
            found.append((path.stat().st_mtime, path))
    for _, path in sorted(found, reverse=True):
        try:
            report = read_report(path.parent)
        except DataError:
            continue
        if report.fingerprint == fingerprint(plan) and report.state != ENDED:
            LOG.info("going on with sweep '%s', which has not ended", report.name)
            return path.parent.name
    return ""
