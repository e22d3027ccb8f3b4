"""The lines of ``sections`` as a table: what each setting takes, in words.

Errors, help, ``config explain``, the example file and the JSON schema read it from
here, so that they cannot disagree.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from slangmod.settings.sections import Section, Settings
from slangmod.settings.shapes import Key, Known, Shape

__all__ = ["Key", "Known", "Shape", "arrays", "catalog", "free_tables", "tables"]


@cache
def catalog(section: type[Section] = Settings) -> Mapping[str, Known]:
    """The settings of ``section`` by dotted name, in the order of ``sections``.

    What stands in arrays of tables is not among them: those have catalogs of their own.
    """
    return MappingProxyType({known.name: known for known in _settings_of(section)})


@cache
def tables(section: type[Section] = Settings) -> Mapping[Key, type[Section]]:
    """All sections by path, ``section`` at (), in the order of ``sections``."""
    found: dict[Key, type[Section]] = {(): section}
    _add_tables((), section, found)
    return MappingProxyType(found)


@cache
def arrays() -> Mapping[Key, type[Section]]:
    """The arrays of tables by path, such as ``[[stage]]``: what each table holds."""
    return MappingProxyType(
        {
            (*path, name): inner
            for path, section in tables().items()
            for name, info in section.model_fields.items()
            if (inner := _element(info)) is not None
        }
    )


@cache
def free_tables() -> tuple[Key, ...]:
    """The tables in which any name may stand, such as ``[extra]``."""
    return tuple(known.path for known in catalog().values() if known.free)


def _add_tables(
    above: Key, section: type[Section], found: dict[Key, type[Section]]
) -> None:
    for name, info in section.model_fields.items():
        if (inner := _section(info)) is not None:
            found[*above, name] = inner
            _add_tables((*above, name), inner, found)


def _section(info: FieldInfo) -> type[Section] | None:
    kind = info.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _element(info: FieldInfo) -> type[Section] | None:
    """The section of each table of an array; None where the field is no array."""
    kinds = get_args(info.annotation) if get_origin(info.annotation) is tuple else ()
    first = kinds[0] if kinds else None
    is_section = isinstance(first, type) and issubclass(first, Section)
    return first if is_section else None


def _settings_of(section: type[Section], above: Key = ()) -> list[Known]:
    """The settings of ``section``; those of the tables in it come after."""
    own: list[Known] = []
    deeper: list[Known] = []
    for name, info in section.model_fields.items():
        if (inner := _section(info)) is not None:
            deeper += _settings_of(inner, (*above, name))
        elif _element(info) is None and name not in COMPUTED:
            known = _known((*above, name), info)
            (deeper if known.free else own).append(known)
    return own + deeper


def _known(path: Key, info: FieldInfo) -> Known:
    extra = info.json_schema_extra
    unit = extra.get("unit", "") if isinstance(extra, dict) else ""
    forms = _alternatives(info.annotation)
    return Known(
        path=path,
        shapes=tuple(
            _shape(form, tuple(info.metadata)) for form in forms if form is not NoneType
        ),
        default=info.default,
        meaning=info.description or "",
        unit=str(unit),
        optional=NoneType in forms,
    )


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) in (Union, UnionType):
        return get_args(annotation)
    return (annotation,)


def _shape(annotation: Any, metadata: tuple[Any, ...]) -> Shape:
    """The form that ``annotation`` describes, with the limits in ``metadata``."""
    hint = ""
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        for one in more:
            if isinstance(one, FieldInfo):
                hint = one.description or hint
                metadata += tuple(one.metadata)
    if get_origin(annotation) is Literal:
        return Shape(str, words=get_args(annotation))
    if get_origin(annotation) is tuple:
        first, *others = get_args(annotation)
        length = None if Ellipsis in others else 1 + len(others)
        return Shape(tuple, items=(_shape(first, ()),), length=length)
    return _limited(Shape(annotation, hint=hint), metadata)


COMPUTED = ("changes",)
"""Fields that are no settings but gather others: what a stage changes."""

LIMITS = {"least": "ge", "above": "gt", "most": "le", "below": "lt"}
"""Our names for the limits that pydantic keeps in a field's metadata."""


def _limited(shape: Shape, metadata: tuple[Any, ...]) -> Shape:
    limits = {
        ours: getattr(one, theirs)
        for one in metadata
        for ours, theirs in LIMITS.items()
        if hasattr(one, theirs)
    }
    patterns = [one.pattern for one in metadata if hasattr(one, "pattern")]
    return replace(shape, pattern="".join(patterns), **limits)
