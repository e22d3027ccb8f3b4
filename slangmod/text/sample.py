"""A small corpus that every machine has: what Python says about itself.

English prose out of the documentation strings of the standard library and out of the
language reference that ``help()`` shows. Sources are parsed, never run, and there is
no network. The same Python gives the same documents in the same order.
"""

import ast
import builtins
import inspect
import json
import re
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from slangmod.files import written_aside
from slangmod.syncing import make_folder

NOT_PROSE: Final = frozenset(
    {"__pycache__", "idle_test", "lib2to3", "site-packages", "test", "tests"}
)
"""Folders of the standard library that hold no documentation of it."""

FEWEST_WORDS: Final = 5
LEAST_PROSE: Final = 0.85
"""Share of a paragraph's characters that are letters, spaces or ordinary stops."""

_WORD = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*")
_ORDINARY = re.compile(r"[A-Za-z ,.;:'\"()?!-]")
_CODE = re.compile(r">>>|^\s*(?:\.\.|:|@|\$|#|[-*+=~^|]{2,})|\w\(.*\) ->|={2,}|::$")
_MARKUP = re.compile(r":\w+:`~?\.?([^`<]+?)(?:\s*<[^`]*>)?`|``([^`]*)``|\*\*(\w+)\*\*")


def docstrings() -> Iterator[str]:
    """Documents of prose, paragraphs divided by an empty line; none occurs twice."""
    seen: set[str] = set()
    for text in _raw_strings():
        fresh = [p for p in dict.fromkeys(prose(text)) if p not in seen]
        seen.update(fresh)
        if fresh:
            yield "\n\n".join(fresh)


def write_sample(folder: Path) -> Path:
    """Write the corpus as one file of JSON lines into ``folder``; its path."""
    path = folder / "python-docs.jsonl"
    make_folder(folder)
    with written_aside(path) as stream:
        for text in docstrings():
            line = json.dumps({"text": text}, ensure_ascii=False)
            stream.write(line.encode("utf-8") + b"\n")
    return path


def prose(text: str) -> Iterator[str]:
    """The paragraphs of ``text`` that are sentences, each on a single line.

    Signatures, examples, tables, lists of parameters and headings fall away.
    """
    for paragraph in re.split(r"\n[ \t]*\n", inspect.cleandoc(text)):
        lines = paragraph.splitlines()
        if any(_CODE.search(line) for line in lines):
            continue
        joined = " ".join(" ".join(lines).split())
        plain = _MARKUP.sub(lambda m: m[1] or m[2] or m[3] or "", joined)
        if _reads_well(plain):
            yield plain


def _reads_well(paragraph: str) -> bool:
    """Whether it begins and ends like a sentence and is mostly words."""
    if not paragraph or not paragraph[0].isupper() or paragraph[-1] not in ".!?:":
        return False
    if len(_WORD.findall(paragraph)) < FEWEST_WORDS:
        return False
    return len(_ORDINARY.findall(paragraph)) >= LEAST_PROSE * len(paragraph)


def _raw_strings() -> Iterator[str]:
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.rglob("*.py"), key=lambda p: p.as_posix()):
        parts = path.relative_to(library).parts
        if not NOT_PROSE.intersection(parts):
            yield from _in_source(path, reference=parts[0] == "pydoc_data")
    for name in sorted(vars(builtins)):
        yield from _of_builtin(getattr(builtins, name))


def _in_source(path: Path, *, reference: bool) -> Iterator[str]:
    """Documentation strings of a source file; of the reference, all long strings."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # some installations carry files that are no Python of theirs
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node, clean=True) or ""
        elif reference and isinstance(node, ast.Constant):
            yield from _strings([node.value])


def _of_builtin(thing: object) -> Iterator[str]:
    yield from _strings([inspect.getdoc(thing)])
    if isinstance(thing, type):
        for name in sorted(vars(thing)):
            yield from _strings([getattr(vars(thing)[name], "__doc__", None)])


def _strings(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
