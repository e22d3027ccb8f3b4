"""What a run is made with, flat: a plain value for each dotted name."""

from slangmod.errors import SettingsError
from slangmod.runs.tracker import Plain
from slangmod.settings.course import AtHand
from slangmod.settings.derived import DERIVED
from slangmod.settings.literals import NONE, literal
from slangmod.settings.secrets import without_passwords
from slangmod.settings.sections import Settings
from slangmod.settings.values import values_of

TOLD_AS_NUMBERS = {"train.lr_schedule"}
"""Derived values that trackers are told step by step."""


def parameters_of(settings: Settings, at_hand: AtHand) -> dict[str, Plain]:
    """All settings, tables of arrays and derived values by dotted name.

    Numbers, truth values and texts stay what they are, passwords in addresses apart;
    all else is as TOML spells it, and what is unset is ``none``. Derived values that
    cannot be computed are left out.
    """
    known = {".".join(path): plain(value) for path, value in values_of(settings)}
    for name, derived in DERIVED.items():
        if name not in TOLD_AS_NUMBERS:
            try:
                known[name] = plain(derived.compute(settings, at_hand))
            except SettingsError:
                continue
    return known


def plain(value: object) -> Plain:
    """``value`` as trackers take it.

    >>> plain(0.5), plain(None), plain((1, 2)), plain("adamw")
    (0.5, 'none', '[1, 2]', 'adamw')
    """
    if isinstance(value, bool | int | float):
        return value
    text = (
        NONE if value is None else value if isinstance(value, str) else literal(value)
    )
    return without_passwords(text)
