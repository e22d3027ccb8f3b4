"""Which runs an action looks at, and how what it says reaches standard output."""

import logging
import sys
from pathlib import Path

from slangmod.commands.call import Call
from slangmod.errors import UserError
from slangmod.runs.directory import RunDir, runs_of, trials_of
from slangmod.settings.paths import RUNS

LOG = logging.getLogger(__name__)


def named_runs(call: Call) -> tuple[RunDir, ...]:
    """The runs that words and ``--name`` ask for, in their order, each once.

    The name of a sweep asks for all of its trials. Raises UserError, listing the runs
    there are, for each that is not there.
    """
    workdir = call.settings.workdir
    names = (*call.words, *call.names)
    wanted = [
        run
        for name in names
        for run in trials_of(workdir, name, LOG.warning) or (RunDir.of(workdir, name),)
    ]
    known = ", ".join(run.name for run in runs_of(workdir)) or "there are none"
    problems = [
        f"{run.name}: no such run in {Path(workdir) / RUNS}; runs: {known}"
        for run in wanted
        if not run.root.is_dir()
    ]
    if problems:
        raise UserError(*problems)
    return tuple(dict.fromkeys(wanted))


def all_runs(call: Call) -> tuple[RunDir, ...]:
    """The runs asked for, or else all in the working directory, newest first."""
    return named_runs(call) or runs_of(call.settings.workdir, LOG.warning)


def newest_run(workdir: str) -> RunDir:
    """The run that was begun last, which is said; UserError if there is none."""
    runs = runs_of(workdir, LOG.warning)
    if not runs:
        raise UserError(
            f"{Path(workdir) / RUNS}: there is no run yet; `slangmod train` makes one"
        )
    LOG.info("the newest run is '%s'", runs[0].name)
    return runs[0]


def say(text: str) -> None:
    """Write ``text`` to standard output, signs it cannot show replaced by ``?``."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
