"""What a command is called with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from slangmod.parallel.launch import Launch
from slangmod.settings.entries import Entry
from slangmod.settings.resolved import Resolved
from slangmod.settings.sections import Settings


@dataclass(frozen=True)
class Call:
    """One action of the command line, with all it was given.

    ``flags`` holds the action's own flags by name without dashes: True or False, the
    text of a value, or None where it was not given; a tuple of all texts, if it may be
    repeated. ``names`` are all that ``--name``
    was given. For an action on a run, ``settings`` are what flags and files say; see
    ``commands.existing`` for those of the run.
    """

    settings: Settings
    resolved: Resolved
    words: tuple[str, ...] = ()
    flags: Mapping[str, object] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    action: str = ""
    on_top: tuple[tuple[str, str], ...] = ()
    """flags that are in no ``settings`` yet: what they mean, the run must say that an
    action works on, which has the stages, say, and the optimizer"""
    unheeded: tuple[Entry, ...] = ()
    """what a file says that was found and not named, and that is left out elsewhere"""
    launch: Launch | None = None
    """what torchrun says, where it has started this process"""
