"""All there is to say about one setting."""

from typing import Any

from slangmod.errors import SettingsError
from slangmod.settings.catalog import Known, catalog, tables
from slangmod.settings.derived import DERIVED
from slangmod.settings.entries import PREFIX, known_at
from slangmod.settings.free import thawed
from slangmod.settings.literals import literal
from slangmod.settings.resolved import Resolved
from slangmod.settings.suggest import unknown
from slangmod.settings.values import value_at


def settings_named(name: str) -> list[Known]:
    """The setting ``name``, or all settings in the section of that name.

    Raises SettingsError, saying what comes near, if there is neither.
    """
    path = tuple(name.removeprefix("--").strip("[]").replace("-", "_").split("."))
    if known := known_at(path):
        return [known]
    if path in tables():
        return [one for one in catalog().values() if one.path[: len(path)] == path]
    raise SettingsError(unknown(path, is_table=False))


def about(known: Known, resolved: Resolved) -> dict[str, Any]:
    """What there is to say, by heading."""
    value = value_at(resolved.settings, known.path)
    return {
        "name": known.name,
        "value": thawed(value),
        "meaning": known.meaning,
        "type": known.type_in_words().replace("|", " | "),
        "range": known.range_in_words(),
        "unit": known.unit,
        "default": thawed(known.default),
        "origin": resolved.origin(known.path),
        "flag": f"--{known.name}",
        "variable": PREFIX + known.name.upper().replace(".", "__"),
        "derived from it": ", ".join(
            name for name, derived in DERIVED.items() if known.name in derived.inputs
        ),
    }


def explained(known: Known, resolved: Resolved) -> str:
    """The same as text: the value, the meaning, and the rest in columns."""
    facts = about(known, resolved)
    lines = [f"{known.name} = {literal(facts.pop('value'))}", f"  {facts['meaning']}"]
    facts["default"] = literal(facts["default"])
    for heading, fact in facts.items():
        if fact and heading not in ("name", "meaning"):
            lines.append(f"  {heading:<16}{fact}")
    return "\n".join(lines) + "\n"
