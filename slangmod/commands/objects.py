"""``--settings package.module:name``: an experiment that is a Python object."""

import os
import sys
from importlib import import_module

from slangmod.errors import SettingsError
from slangmod.settings.entries import Entry
from slangmod.settings.literals import printable
from slangmod.settings.resolved import Resolved
from slangmod.settings.sections import Settings
from slangmod.settings.show import changes

FLAG = "--settings"


def entries_of(reference: str) -> list[Entry]:
    """What the Settings object that ``reference`` names has set; it is their origin.

    Modules of the current folder are found, too. Raises SettingsError, in one line,
    where there is no such object, or importing its module fails.
    """
    shown = printable(f"{FLAG} {reference}")
    module, colon, name = reference.partition(":")
    if not (colon and module and name.isidentifier()):
        raise SettingsError(
            f'{shown}: give a module and a name in it, such as "experiments.first:best"'
        )
    if (here := os.getcwd()) not in sys.path:  # noqa: PTH109 (sys.path holds text)
        sys.path.insert(0, here)
    try:
        found = getattr(import_module(module), name)
    except SettingsError as error:
        raise SettingsError(*(f"{shown}: {one}" for one in error.problems)) from None
    except AttributeError as error:
        raise SettingsError(f"{shown}: {printable(str(error))}") from None
    except Exception as error:  # whatever that code does
        reason = printable(f"{type(error).__name__}: {error}")
        raise SettingsError(f"{shown}: cannot be imported: {reason}") from None
    if not isinstance(found, Settings):
        raise SettingsError(
            f"{shown}: is a {type(found).__name__}, not a slangmod.Settings; make one "
            "with slangmod.load_settings() and its replace()"
        )
    history = Resolved.of(found, reference).history
    kept = [entry for path, (entry, *_) in history.items() if path != ("base",)]
    # What is as by default, but would not be if the preset of its size had its way.
    against_preset = [
        Entry(path, value, reference)
        for path, value in changes(found)
        if path not in history
    ]
    return [*kept, *against_preset]
