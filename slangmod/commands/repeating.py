"""``train --repeat 3``: runs that differ in their seeds alone, one after the other."""

from dataclasses import replace
from datetime import datetime

from slangmod.commands.call import Call
from slangmod.errors import UserError
from slangmod.runs.begun import has_begun
from slangmod.runs.directory import RunDir, new_name


def repetitions(call: Call) -> list[Call]:
    """The call of each run: NAME-1 with the seed given, NAME-2 with the next, ...

    Each is a run like any other, and knows nothing of the others. Raises SettingsError
    if a name gets too long.
    """
    settings = call.settings
    now = datetime.now().astimezone()
    stem = settings.name or new_name(settings.workdir, now)
    calls = []
    for number in range(settings.repeat):
        values = {
            "name": f"{stem}-{number + 1}",
            "seed": settings.seed + number,
            "repeat": 1,
        }
        place = f"run {number + 1} of repeat = {settings.repeat}"
        resolved = call.resolved.with_values(values, place)
        calls.append(replace(call, settings=resolved.settings, resolved=resolved))
    return calls


def refuse_existing(calls: list[Call]) -> None:
    """Raise UserError, before anything is trained, if one could not be begun."""
    if any(one.flags.get("overwrite") for one in calls):
        return
    runs = [RunDir.of(one.settings.workdir, str(one.settings.name)) for one in calls]
    taken = [run.name for run in runs if has_begun(run)]
    if taken:
        raise UserError(
            f"{', '.join(taken)}: trained already; --continue goes on "
            "with them and trains the others, --overwrite moves them aside, another "
            "--name leaves them alone"
        )
