"""The lines of ``sections`` as a table: what each setting takes, in words.

Errors, help, ``config explain``, the example file and the JSON schema read it from
here, so that they cannot disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from slangmod.settings.free import FreeTable
from slangmod.settings.literals import literal
from slangmod.settings.sections import Section, Settings

Key = tuple[str, ...]
"""The parts of a setting's name: ("train", "learning_rate")."""

KINDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    tuple: "a list",
    FreeTable: "a table",
}
SHORT = {
    int: "integer",
    float: "number",
    bool: "true|false",
    str: "text",
    tuple: "list",
    FreeTable: "table",
}


@dataclass(frozen=True)
class Shape:
    """One form that a value may take, with its limits."""

    kind: type
    words: tuple[str, ...] = ()
    pattern: str = ""
    hint: str = ""
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    items: tuple["Shape", ...] = ()
    length: int | None = None

    def range_in_words(self) -> str:
        """The limits of a number: ``at least 0 and below 1``; empty without any."""
        limits = (
            ("at least", self.least),
            ("above", self.above),
            ("at most", self.most),
            ("below", self.below),
        )
        return " and ".join(f"{word} {n:g}" for word, n in limits if n is not None)

    def in_words(self) -> str:
        """What this form asks for: ``a whole number, at least 1``."""
        if self.words:
            return "one of " + ", ".join(sorted(self.words))
        if self.hint:
            return self.hint
        if self.items:
            each = " or ".join(item.in_words() for item in self.items)
            return f"a list{f' of {self.length}' * bool(self.length)}, each {each}"
        limits = self.range_in_words()
        return f"{KINDS[self.kind]}, {limits}" if limits else KINDS[self.kind]


@dataclass(frozen=True)
class Known:
    """A setting: its name, forms, default, meaning and unit."""

    path: Key
    shapes: tuple[Shape, ...]
    default: Any
    meaning: str
    unit: str
    optional: bool = field(default=False)

    @property
    def name(self) -> str:
        """The dotted name, as flags and errors spell it."""
        return ".".join(self.path)

    @property
    def free(self) -> bool:
        """Whether anything may stand below this name."""
        return self.shapes[0].kind is FreeTable

    @property
    def holds_text(self) -> bool:
        """Whether words are taken as they are typed, without quotes."""
        return all(shape.kind is str for shape in self.shapes)

    @property
    def words(self) -> tuple[str, ...]:
        """The words that may be chosen from, if any."""
        return tuple(word for shape in self.shapes for word in shape.words)

    @property
    def item_words(self) -> tuple[str, ...]:
        """The words that the items of a list may be chosen from, if any."""
        items = (item for shape in self.shapes for item in shape.items)
        return tuple(word for item in items for word in item.words)

    def type_in_words(self) -> str:
        """The forms, briefly: ``integer``, ``number``, ``text``, ``a|b|c``."""
        names: list[str] = []
        for shape in self.shapes:
            names += shape.words or (SHORT[shape.kind],)
        if self.optional:
            names.append("none")
        if "number" in names and "integer" in names:
            names.remove("integer")
        return "|".join(names)

    def range_in_words(self) -> str:
        """The limits of all forms in words; empty without any."""
        ranges = [shape.hint or shape.range_in_words() for shape in self.shapes]
        ranges += [item.in_words() for shape in self.shapes for item in shape.items]
        return " or ".join(dict.fromkeys(filter(None, ranges)))

    def expected(self) -> str:
        """What a value must be, as an error says it."""
        forms = [shape.in_words() for shape in _merged(self.shapes)]
        way_out = f", or {literal(None)}" if self.optional else ""
        if self.words:
            others = [form for form in forms if not form.startswith("one of")]
            choice = "choose one of " + ", ".join(sorted(self.words))
            return ", or ".join([choice, *others]) + way_out
        return "must be " + " or ".join(forms) + way_out


def _merged(shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """``shapes``, whole numbers left out where any number will do."""
    if any(shape.kind is float for shape in shapes):
        return tuple(shape for shape in shapes if shape.kind is not int)
    return shapes


@cache
def catalog() -> Mapping[str, Known]:
    """All settings by dotted name, in the order of ``sections``."""
    return MappingProxyType({known.name: known for known in _settings_of(Settings)})


@cache
def tables() -> Mapping[Key, type[Section]]:
    """All sections by path, the root at (), in the order of ``sections``."""
    found: dict[Key, type[Section]] = {(): Settings}
    _add_tables((), Settings, found)
    return MappingProxyType(found)


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


def _settings_of(section: type[Section], above: Key = ()) -> list[Known]:
    """The settings of ``section``; those of the tables in it come after."""
    own: list[Known] = []
    deeper: list[Known] = []
    for name, info in section.model_fields.items():
        if (inner := _section(info)) is not None:
            deeper += _settings_of(inner, (*above, name))
        else:
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


def _limited(shape: Shape, metadata: tuple[Any, ...]) -> Shape:
    limits: dict[str, Any] = {}
    for one in metadata:
        match one:
            case Ge(ge):
                limits["least"] = ge
            case Gt(gt):
                limits["above"] = gt
            case Le(le):
                limits["most"] = le
            case Lt(lt):
                limits["below"] = lt
        limits["pattern"] = getattr(one, "pattern", "") or limits.get("pattern", "")
    return Shape(**{"kind": shape.kind, "hint": shape.hint, **limits})
