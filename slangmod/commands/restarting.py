"""When torchrun starts all processes anew, ``train`` goes on with what they had begun.

The leader notes what it begins in torchrun's own store, which ends with the launch: no
later launch can mistake a run for its own, whatever it is called.
"""

from dataclasses import replace
from datetime import datetime

from slangmod.commands.call import Call
from slangmod.parallel.team import Team
from slangmod.runs.directory import RunDir, new_name

NAME = "name"
"""Of the note that holds the name of a run to which its settings give none."""


def named(call: Call, team: Team) -> Call:
    """The same call with a name for its run, which all processes must agree on."""
    settings = call.settings
    if team.alone or settings.name is not None:
        return call
    name = ""
    if team.leads:
        now = datetime.now().astimezone()
        name = team.noted(NAME) or new_name(settings.workdir, now)
        team.note(NAME, name)
    resolved = call.resolved.with_values({"name": team.text(name)}, "torchrun")
    return replace(call, settings=resolved.settings, resolved=resolved)


def note_begun(folder: RunDir, team: Team) -> None:
    """Note that this launch is about to save the first checkpoint of the run."""
    team.note(f"begun/{folder.root.resolve()}", "yes")


def begun_before(call: Call, team: Team) -> bool:
    """Whether this launch has begun the run of ``call`` before it was restarted.

    Only the leader knows; what it has noted is told to all.
    """
    if team.alone or call.settings.name is None:
        return False
    folder = RunDir.of(call.settings.workdir, call.settings.name)
    known = team.leads and team.noted(f"begun/{folder.root.resolve()}") is not None
    return team.any(known)
