"""The settings as a JSON schema, by which editors complete and check TOML files.

Draft 7, without what older readers do not know (const, if, prefixItems).
"""

from typing import Any

from slangmod.settings.catalog import Key, Known, Shape, catalog, tables
from slangmod.settings.free import thawed
from slangmod.settings.literals import NONE
from slangmod.settings.values import put

TYPES = {int: "integer", float: "number", bool: "boolean", str: "string"}


def json_schema() -> dict[str, Any]:
    """The schema of a whole file; what is not in it is refused."""
    schema: dict[str, Any] = {}
    for path, section in tables().items():
        table = {
            "type": "object",
            "description": section.__doc__ or "",
            "additionalProperties": False,
        }
        for name, value in {**table, "properties": {}}.items():
            put(schema, (*_place(path), name), value)
    for known in catalog().values():
        put(schema, _place(known.path), _setting(known))
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def _place(path: Key) -> Key:
    """Where the schema has what a file has at ``path``."""
    return tuple(step for part in path for step in ("properties", part))


def _setting(known: Known) -> dict[str, Any]:
    about: dict[str, Any] = {"description": _meaning(known)}
    forms = [_form(shape) for shape in known.shapes]
    if known.optional:
        forms.append({"enum": [NONE]})
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
