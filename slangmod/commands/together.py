"""The command line where torchrun has started it several times: one speaks for all.

An error that all of them meet with is told once. What only another than the leader
knows of is told with its rank.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from slangmod.errors import LostError, StoppedError, UserError
from slangmod.parallel.launch import Launch, launch_of

LONGEST = 10.0
"""Seconds for which it is waited what the leader says, who may still be loading;
torchrun ends us earlier if it has ended with an error."""

LATER = 3.0
"""The same once all have met: of what befalls us alone it learns only by our end."""

SHORT = 5.0
"""Seconds within which torchrun's store must answer."""

BETWEEN = 0.2
"""Seconds between two looks whether the leader is done."""


def launch_in(environ: Mapping[str, str]) -> Launch | None:
    """What ``launch_of`` finds; None, too, where that cannot be made out."""
    with suppress(UserError):
        return launch_of(environ)
    return None


def to_say(error: BaseException, lines: Sequence[str], launch: Launch) -> list[str]:
    """Of ``lines`` about ``error``, those that this process is to say.

    The leader says all of them, and lets the others know. They say what it has not
    said, and nothing about a signal, which is the same for all.
    """
    from slangmod.parallel.store import Notes, has_met, open_notes

    notes: Notes | None = None
    with suppress(RuntimeError):  # nobody keeps notes any more
        notes = open_notes(launch, SHORT)
    if launch.leads:
        if notes is not None:
            notes.tell(lines)
        return list(lines)
    if isinstance(error, StoppedError):
        return []
    patience = LATER if has_met(launch) else LONGEST
    told = None if notes is None else notes.told(patience)
    if told is not None and isinstance(error, LostError):
        return []
    untold = (one for one in lines if not any(one in said for said in told or ()))
    return [f"rank {launch.rank}: {one}" for one in untold]


def alone(
    launch: Launch, number: int, act: Callable[[], int | None], timeout: float
) -> int | None:
    """Let only the leader do action ``number`` of the command line; -> exit code.

    The others wait until it is done. Where it fails instead, torchrun ends them. All
    must have come within ``timeout`` seconds.
    """
    from slangmod.parallel.store import meet

    notes = meet(launch, timeout)
    name = f"{notes.session}/done/{number}"
    if launch.leads:
        code = act()
        notes.write(name, str(code or 0))
        return code
    told = None
    while told is None:  # there is no limit to how long an action may take
        told = notes.read(name, BETWEEN)
    return int(told)
