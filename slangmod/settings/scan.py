"""Which line of a TOML text sets which key, in one walk whose cost is linear.

No TOML reader tells where a value stands. The walk goes from statement to statement
and needs no understanding of values beyond where they end. It runs before the text is
parsed, so it also guards the parser: keys and nesting that only an attack would have
are refused here. Where the text is no TOML it stops; the parser then says why.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

Key = tuple[str, ...]

DEEPEST = 8
"""Tables and lists that may stand inside each other."""

MOST_TABLES = 10_000
"""In an array; the trials of a sweep are tables, too."""
LONGEST_KEY = 256
LONGEST_NUMBER = 128

# Possessive quantifiers (*+): nothing is ever tried twice.
_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*+)*+")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*+"' + r"|'[^'\n]*+'")
_LONG = {
    '"""': re.compile(r'(?:[^"\\]|\\.|"(?!""))*+"{3,5}', re.DOTALL),
    "'''": re.compile(r"(?:[^']|'(?!''))*+'{3,5}"),
}
_SCALAR = re.compile(r"[^\s,\]}#\"'{\[][^,\]}#\n]*")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|(.))")
_LETTERS = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b"}


class LimitError(Exception):
    """The text has a key or a nesting that no configuration needs."""

    def __init__(self, line: int, column: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.column = column
        self.what = what


class _NotTomlError(Exception):
    """What stands here is no TOML; the parser will say so better."""


@dataclass(frozen=True)
class Lines:
    """Where keys and tables are set, by line from 1.

    ``first``: the line of each key, and of each table the first that names it.
    ``again``: for a line that sets a key which is set already, that key.
    """

    first: dict[Key, int]
    again: dict[int, Key]


@dataclass
class _Walk:
    """Where the walk is, and what it has found."""

    text: str
    at: int = 0
    line: int = 1
    counted: int = 0
    found: Lines = field(default_factory=lambda: Lines({}, {}))
    tables: dict[Key, int] = field(default_factory=dict)
    """how many tables each array of tables has so far"""

    def line_here(self) -> int:
        """The line of the place where the walk is (counted on from the last one)."""
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.line

    def refuse(self, what: str) -> LimitError:
        """The error that ``what`` stands here, where no configuration has it."""
        column = self.at - self.text.rfind("\n", 0, self.at)
        return LimitError(self.line_here(), column, what)

    def skip(self, pattern: re.Pattern[str]) -> str:
        """Go past what ``pattern`` matches here and return it."""
        match = pattern.match(self.text, self.at)
        if match is None:
            raise _NotTomlError
        self.at = match.end()
        return match.group()

    def take(self, word: str) -> bool:
        """Go past ``word`` if it stands here."""
        found = self.text.startswith(word, self.at)
        self.at += len(word) * found
        return found

    def need(self, word: str) -> None:
        if not self.take(word):
            raise _NotTomlError


def lines_of(text: str) -> Lines:
    """The line at which each key and each table of ``text`` is set.

    The tables of an array, and the items of a list, are numbered from 1, as in
    ``("stage", "2", "name")``. Raises LimitError for too deep a nesting, too long a key
    or too long a number.
    """
    walk = _Walk(text.replace("\r\n", "\n"))
    with suppress(_NotTomlError):
        _statements(walk)
    return walk.found


def _statements(walk: _Walk) -> None:
    table: Key = ()
    walk.skip(_BLANK)
    while walk.at < len(walk.text):
        if walk.take("[["):
            table = _header(walk, "]]")
        elif walk.take("["):
            table = _header(walk, "]")
        else:
            _pair(walk, table)
        walk.skip(_BLANK)


def _header(walk: _Walk, end: str) -> Key:
    line = walk.line_here()
    walk.skip(_SPACE)
    path = _numbered(walk, _key(walk), is_array=end == "]]")
    walk.need(end)
    _set(walk, path, line)
    return path


def _numbered(walk: _Walk, path: Key, is_array: bool) -> Key:
    """``path`` with the number of the last table of each array on its way.

    ``is_array``: another table of the array at the end of it begins.
    """
    full: Key = ()
    for end, part in enumerate(path, start=1):
        full += (part,)
        if is_array and end == len(path):
            walk.tables[full] = walk.tables.get(full, 0) + 1
            if walk.tables[full] > MOST_TABLES:
                raise walk.refuse(f"more than {MOST_TABLES} tables in an array")
        if full in walk.tables:
            full += (str(walk.tables[full]),)
    return full


def _set(walk: _Walk, path: Key, line: int) -> None:
    if path in walk.found.first:
        walk.found.again[line] = path
    for end in range(1, len(path) + 1):
        walk.found.first.setdefault(path[:end], line)


def _pair(walk: _Walk, table: Key) -> None:
    """``key = value``, in ``table``."""
    line = walk.line_here()
    path = table + _key(walk, len(table))
    _set(walk, path, line)
    walk.need("=")
    walk.skip(_SPACE)
    _value(walk, path)


def _key(walk: _Walk, above: int = 0) -> Key:
    """The parts of a key, below ``above`` tables; spaces after it are skipped too."""
    parts: list[str] = []
    while True:
        parts.append(_part(walk))
        if above + len(parts) > DEEPEST:
            raise walk.refuse(f"nested deeper than {DEEPEST} tables")
        walk.skip(_SPACE)
        if not walk.take("."):
            return tuple(parts)
        walk.skip(_SPACE)


def _part(walk: _Walk) -> str:
    start = walk.at
    is_quoted = walk.text[start : start + 1] in ('"', "'")
    part = walk.skip(_QUOTED if is_quoted else _BARE)
    if part[0] == '"':
        part = _ESCAPE.sub(_unescaped, part[1:-1])
    elif part[0] == "'":
        part = part[1:-1]
    if len(part) > LONGEST_KEY:
        walk.at = start
        raise walk.refuse(f"a key of more than {LONGEST_KEY} characters")
    return part


def _unescaped(match: re.Match[str]) -> str:
    *digits, letter = match.groups()
    if letter is not None:
        return _LETTERS.get(letter, letter)
    number = int("".join(filter(None, digits)), 16)
    return chr(number) if number < 0x110000 else "\ufffd"


def _value(walk: _Walk, path: Key) -> None:
    """Go past the value of ``path``, noting the keys of tables in it."""
    if len(path) > DEEPEST + 1:
        raise walk.refuse(f"nested deeper than {DEEPEST} tables and lists")
    for quotes, rest in _LONG.items():
        if walk.take(quotes):
            walk.skip(rest)
            return
    if walk.take("["):
        _items(walk, "]", lambda number: _value(walk, (*path, str(number))))
    elif walk.take("{"):
        _items(walk, "}", lambda _: _pair(walk, path))
    elif walk.text[walk.at : walk.at + 1] in ('"', "'"):
        walk.skip(_QUOTED)
    else:
        start = walk.at
        if len(walk.skip(_SCALAR).rstrip()) > LONGEST_NUMBER:
            walk.at = start
            raise walk.refuse(f"a number of more than {LONGEST_NUMBER} characters")


def _items(walk: _Walk, end: str, item: Callable[[int], None]) -> None:
    """Go past items separated by commas, counted from 1, up to and past ``end``."""
    walk.skip(_BLANK)
    number = 0
    while not walk.take(end):
        number += 1
        item(number)
        walk.skip(_BLANK)
        if not walk.take(","):
            walk.need(end)
            return
        walk.skip(_BLANK)
