"""The settings as a JSON schema, by which editors complete and check TOML files.

Draft 7, without what older readers do not know (const, if, prefixItems).
"""

from collections.abc import Iterable
from typing import Any

from slangmod.settings.automatic import AUTO, BATCH_SIZE
from slangmod.settings.catalog import Key, Known, Shape, arrays, catalog, tables
from slangmod.settings.free import thawed
from slangmod.settings.literals import NONE
from slangmod.settings.sections import Section, Settings, Stage
from slangmod.settings.stages import refusal
from slangmod.settings.values import put

TYPES = {int: "integer", float: "number", bool: "boolean", str: "string"}


EXPRESSION = {"type": "string", "pattern": "^="}
"""What is computed from other settings."""

CLASS = {
    "type": "object",
    "properties": {"_target_": {"type": "string"}},
    "required": ["_target_"],
    "additionalProperties": False,
}
"""A class by its dotted name."""


def json_schema() -> dict[str, Any]:
    """The schema of a whole file; what is not in it is refused."""
    schema = _schema_of(Settings, catalog().values())
    for array, section in arrays().items():
        known = list(catalog(section).values())
        if section is Stage:
            known += [one for one in catalog().values() if not refusal(one.name)]
        items = _schema_of(section, known)
        put(schema, _place(array), {"type": "array", "items": items})
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def _schema_of(section: type[Section], settings: Iterable[Known]) -> dict[str, Any]:
    """The schema of one table and of those in it."""
    schema: dict[str, Any] = _table(section)
    for known in settings:
        for end in range(1, len(known.path)):
            place = _place(known.path[:end])
            if not has(schema, place):
                put(
                    schema,
                    place,
                    _table(tables(_home(section, known))[known.path[:end]]),
                )
        put(schema, _place(known.path), _setting(known))
    return schema


def _home(section: type[Section], known: Known) -> type[Section]:
    """Where the tables on the way to ``known`` are described."""
    return section if known.name in catalog(section) else Settings


def _table(section: type[Section]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": section.__doc__ or "",
        "additionalProperties": False,
        "properties": {},
    }


def _place(path: Key) -> Key:
    """Where the schema has what a file has at ``path``."""
    return tuple(step for part in path for step in ("properties", part))


def has(tree: dict[str, Any], path: Key) -> bool:
    """Whether anything stands at ``path``."""
    found: Any = tree
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found is not None


def _setting(known: Known) -> dict[str, Any]:
    about: dict[str, Any] = {"description": _meaning(known)}
    forms = [_form(shape) for shape in known.shapes]
    if known.optional:
        forms.append({"enum": [NONE]})
    if any(shape.pattern and ":" in shape.pattern for shape in known.shapes):
        forms.append(CLASS)
    if not (known.holds_text or known.free):
        forms.append(EXPRESSION)
    if known.path == BATCH_SIZE:
        forms.append({"enum": [AUTO]})
    if known.default is not None and not known.free:
        about["default"] = thawed(known.default)
    return about | (forms[0] if len(forms) == 1 else {"anyOf": forms})


def _meaning(known: Known) -> str:
    return f"{known.meaning} ({known.unit})" if known.unit else known.meaning


def _form(shape: Shape) -> dict[str, Any]:
    """One form of a value."""
    if shape.words:
        return {"enum": list(shape.words)}
    if shape.items:
        length = {"minItems": shape.length, "maxItems": shape.length}
        form = {"type": "array", "items": _form(shape.items[0])}
        return form | (length if shape.length else {})
    if shape.kind not in TYPES:
        return {"type": "object"}
    limits = {
        "minimum": shape.least,
        "exclusiveMinimum": shape.above,
        "maximum": shape.most,
        "exclusiveMaximum": shape.below,
        "pattern": shape.pattern or None,
    }
    given = {name: limit for name, limit in limits.items() if limit is not None}
    return {"type": TYPES[shape.kind], **given}
