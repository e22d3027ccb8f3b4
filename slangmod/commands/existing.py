"""The run that an action works on: which it is, and with which settings."""

import logging
from pathlib import Path

from slangmod.commands import COMMANDS
from slangmod.commands.call import Call
from slangmod.commands.changes import allowed_by, way_out
from slangmod.commands.choosing import newest_run
from slangmod.errors import DataError
from slangmod.runs.begun import has_begun
from slangmod.runs.directory import RunDir, runs_of, trials_of
from slangmod.settings.changing import DATA, freely
from slangmod.settings.levels import level_of
from slangmod.settings.plugins import refuse_unasked
from slangmod.settings.resolved import Resolved
from slangmod.settings.run import left_alone, load_run, never
from slangmod.settings.sections import Settings
from slangmod.settings.stages import stages_of
from slangmod.settings.suggest import alternatives, nearest
from slangmod.settings.values import value_at

LOG = logging.getLogger(__name__)


def open_existing(call: Call) -> tuple[RunDir, Settings]:
    """The run of ``name``, or else the newest, and the settings that hold for it.

    They are the run's own, changed by what the call gives and its action lets change.
    ``train --continue`` describes a whole run, so there what is not given is default.
    Raises DataError if there is no such run, SettingsError if anything else was given
    that is not as the run has it.
    """
    run, resolved = resolve_existing(call)
    return run, resolved.settings


def resolve_existing(call: Call) -> tuple[RunDir, Resolved]:
    """Like ``open_existing``, with the origins of the settings."""
    run = chosen_run(call.settings)
    command = COMMANDS.get(call.action)
    complete = command is not None and not command.on_run
    goes_on = "allow-change" in call.flags
    if not run.exists():
        resolved = described_anew(run, call, complete=complete)
    else:
        allowed = [name for name in allowed_by(call) if name != DATA]
        resolved = load_run(
            run.config,
            call.resolved,
            (*(command.changeable if command else ()), *allowed),
            call.settings.workdir,
            complete=complete,
            free=freely if goes_on else never,
            on_top=call.on_top,
            way_out=way_out if goes_on else left_alone,
        )
    allow = call.settings.plugins.allow
    for stage in stages_of(resolved.settings):
        refuse_unasked(str(run.config), stage.settings, allow)
    # Nor is what the run allows taken on its word for what a file of a model names.
    resolved = resolved.with_values({"plugins.allow": allow}, "what is allowed now")
    tell_unheeded(call, resolved)
    logging.getLogger("slangmod").setLevel(level_of(resolved.settings.log_level))
    return run, resolved


def tell_unheeded(call: Call, run: Resolved) -> None:
    """Warn of trackers that a file wants told of ``run`` and that nobody has named."""
    for entry in call.unheeded if call.action == "resume" else ():
        if entry.path[0] == "track" and entry.value != value_at(
            run.settings, entry.path
        ):
            LOG.warning(
                "%s: is not heeded, since nobody has named that file; --toml names it",
                entry.subject(),
            )


def described_anew(run: RunDir, call: Call, *, complete: bool) -> Resolved:
    """The settings of a run that has lost its own: those given, if ``complete``.

    They are compared with what its checkpoints remember. Raises DataError if they are
    not, or there is no checkpoint.
    """
    if not run.has_checkpoints():
        raise DataError(
            f"{run.root}: neither settings nor checkpoints are left of that run; "
            "`slangmod train --overwrite` moves the rest aside and begins anew"
        )
    if not complete:
        raise DataError(
            f"{run.config}: is gone; `slangmod train --continue --name {run.name} "
            "--toml FILE`, with the settings that the run began with, writes it anew "
            "and goes on"
        )
    LOG.warning("%s: is gone; what is given is taken in its place", run.config)
    workdir = str(Path(call.settings.workdir).absolute())
    place = {"name": run.name, "workdir": workdir}
    return call.resolved.with_values(place, "where the run is")


def chosen_run(settings: Settings) -> RunDir:
    """The run that ``name`` asks for, or the newest, which is said.

    Raises DataError if there is none.
    """
    if settings.name is None:
        return newest_run(settings.workdir)
    run = RunDir.of(settings.workdir, settings.name)
    if run.exists() or has_begun(run):
        return run
    if trials := trials_of(settings.workdir, settings.name):
        raise DataError(
            f"{run.root}: is a sweep; name one of its trials, such as {trials[0].name}"
        )
    names = [other.name for other in runs_of(settings.workdir)]
    near = alternatives(nearest(settings.name, names))
    known = f"the runs are {', '.join(names)}" if names else "there is none yet"
    hint = f"did you mean {near}?" if near else known
    raise DataError(f"{run.root}: there is no such run; {hint}")
