"""What a setting takes: the forms of its value, their limits, all of it in words."""

from dataclasses import dataclass
from typing import Any

from slangmod.settings.free import FreeTable
from slangmod.settings.literals import NONE, literal

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
    optional: bool

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
    def unset(self) -> str | None:
        """The word that unsets it; None where there is none, or it is one to choose.

        Then leaving it out is the way to unset it.
        """
        return NONE if self.optional and NONE not in self.words else None

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
        if self.unset:
            names.append(self.unset)
        if "number" in names and "integer" in names:
            names.remove("integer")
        return "|".join(names)

    def range_in_words(self) -> str:
        """The limits of all forms in words; empty without any."""
        ranges = [shape.hint or shape.range_in_words() for shape in self.shapes]
        ranges += [item.in_words() for shape in self.shapes for item in shape.items]
        return " or ".join(dict.fromkeys(filter(None, ranges)))

    def limits_in_words(self) -> str:
        """The limits of a number alone, whatever else the setting takes."""
        numbers = [shape for shape in self.shapes if shape.kind in (int, float)]
        ranges = [shape.range_in_words() for shape in numbers]
        return " or ".join(dict.fromkeys(filter(None, ranges)))

    def expected(self) -> str:
        """What a value must be, as an error says it."""
        forms = [shape.in_words() for shape in _merged(self.shapes)]
        way_out = f", or {literal(None)}" if self.unset else ""
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
