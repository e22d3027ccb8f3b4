"""Whether the run that an action would write to is in use, found before torch loads."""

from slangmod.commands.call import Call
from slangmod.runs.directory import RunDir, runs_of

WRITING = {"train", "resume"}
"""Actions that write to a run."""


def refuse_busy_run(call: Call) -> None:
    """Raise RunBusyError, naming host and process, if the run of ``call`` is in use.

    It is looked at once more when it is locked.
    """
    settings = call.settings
    if call.action not in WRITING or settings.repeat > 1:
        return
    if call.launch is not None and not call.launch.leads:
        return  # it is the leader of this very process that may have it by now
    if settings.name is not None:
        RunDir.of(settings.workdir, settings.name).refuse_if_in_use()
    elif call.action == "resume":
        for newest in runs_of(settings.workdir)[:1]:
            newest.refuse_if_in_use()
