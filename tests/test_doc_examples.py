"""The examples of the manual work: each page is done from top to bottom, as a reader
would.

Every page has a folder of its own, in which an empty config.toml is. In it

* a TOML block is loaded as a settings file; a comment ``.. refused`` before it says
  that it is a mistake on purpose;
* a console block shows commands and, below each, lines of what it prints; ``...`` on a
  line of its own stands for any number of lines. ``slangmod config``, ``--help`` and
  whatever is shown to be refused are run; of other actions the settings are resolved;
* a Python block is run, and so are doctests in it; names live on from block to block.

A block has a file's name, under which later ones find it, by ``:caption: NAME`` or a
first line ``# NAME``. With ``:class: no-run`` it is left alone, whatever it is.
"""

import doctest
import itertools
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from slangmod.cli import main
from slangmod.commands.arguments import parse
from slangmod.commands.calls import calls
from slangmod.errors import SettingsError, UserError
from slangmod.settings import load_settings

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))]
}
BLOCK = re.compile(
    r"^(?P<refused>\.\. refused\n\n)?"
    r"(?P<indent> *)\.\. code-block:: *(?P<kind>\w+)\n"
    r"(?P<options>(?:(?P=indent) {3}:[\w-]+:.*\n)*)"
    r"(?P<body>(?:\n|(?P=indent) {3}.*(?:\n|\Z))+)",
    re.MULTILINE,
)
NAMED = re.compile(r"\A# ([\w.-]+\.(?:toml|py))$", re.MULTILINE)
FILE = re.compile(r"[\w.-]+\.(?:toml|py)")
VARIABLE = re.compile(r"([A-Z_]+)=(.*)", re.DOTALL)
MISTAKE = "slangmod: error: "


@dataclass(frozen=True)
class Block:
    """An example: ``line`` of its first line on the page, from 1."""

    kind: str
    text: str
    line: int
    file: str = ""
    refused: bool = False
    left_alone: bool = False


@dataclass(frozen=True)
class Command:
    """A line of a console block, and the lines shown below it."""

    typed: str
    shown: list[str]
    line: int


class Reader:
    """Whoever does what a page shows, in the folder they are in."""

    def __init__(self, page: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.page, self.capsys = page, capsys
        self.names: dict[str, Any] = {"__name__": "page"}

    def does(self, block: Block) -> None:
        """What ``block`` asks for; AssertionError, with its place, where that fails."""
        if block.left_alone:
            return
        if block.file:
            Path(block.file).write_text(block.text, "utf-8")
        try:
            KINDS.get(block.kind, lambda *_: None)(self, block)
        except AssertionError:
            raise
        except Exception as error:
            place = f"{self.page}:{block.line}"
            raise AssertionError(f"{place}: {type(error).__name__}: {error}") from error

    def loads(self, block: Block) -> None:
        """A TOML block, which is refused if that is what it is to show."""
        file = Path(block.file or "example.toml")
        file.write_text(block.text, "utf-8")
        try:
            load_settings(file)
        except SettingsError:
            if not block.refused:
                raise
        else:
            assert not block.refused, f"{self.page}:{block.line}: is not refused"

    def types(self, block: Block) -> None:
        """A console block."""
        for command in commands_of(block):
            if command.typed.startswith("slangmod ") or "SLM_" in command.typed:
                self.runs(command)

    def runs(self, command: Command) -> None:
        """One line of a console block, as far as it needs neither data nor time."""
        place = f"{self.page}:{command.line}: $ {command.typed}"
        words = words_of(command.typed)
        with pytest.MonkeyPatch.context() as patch:
            while match := VARIABLE.fullmatch(words[0]):
                patch.setenv(*match.groups())
                words.pop(0)
            assert words.pop(0) == "slangmod", place
            target = words[-1] if words[-2:-1] == [">"] else ""
            words = words[:-2] if target else words
            is_mistake = any(line.startswith(MISTAKE) for line in command.shown)
            if not (is_mistake or at_once(words)):
                self.could_run(words, place)
                return
            self.capsys.readouterr()
            code = main(words)
        out, err = self.capsys.readouterr()
        assert code == (2 if is_mistake else 0), f"{place}: exits with {code}: {err}"
        if target:
            Path(target).write_text(out, "utf-8")
        printed = (out + err).splitlines()
        missing = first_missing(command.shown, printed)
        near = "".join(get_close_matches(missing, printed, 1))
        assert not missing, f"{place}: does not print\n{missing}\nthere, but\n{near}"

    def could_run(self, words: list[str], place: str) -> None:
        """Resolve the settings of a command line, and do not run it."""
        try:
            assert calls(parse(words), {}), place
        except UserError as error:
            # An example may need a package that is an extra and is not here.
            if not all("needs the package" in one for one in error.problems):
                raise AssertionError(f"{place}: {error}") from error

    def executes(self, block: Block) -> None:
        """A Python block, with or without the signs of the interpreter."""
        if ">>>" not in block.text:
            exec(compile(block.text, f"{self.page}:{block.line}", "exec"), self.names)
            return
        example = doctest.DocTestParser().get_doctest(
            block.text, self.names, self.page, self.page, block.line - 1
        )
        told: list[str] = []
        doctest.DocTestRunner().run(example, out=told.append, clear_globs=False)
        self.names = example.globs
        assert not told, "".join(told)


KINDS: dict[str, Callable[[Reader, Block], None]] = {
    "toml": Reader.loads,
    "console": Reader.types,
    "python": Reader.executes,
}


def blocks_of(text: str) -> Iterator[Block]:
    """The examples of a page."""
    for match in BLOCK.finditer(text):
        options = dict(re.findall(r":([\w-]+): *(.*)", match["options"]))
        body = dedent(match["body"]).strip("\n") + "\n"
        start = match.start("body") + len(match["body"]) - len(match["body"].lstrip())
        first_line = NAMED.match(body)
        caption = options.get("caption", "")
        is_file = FILE.fullmatch(caption)
        yield Block(
            match["kind"],
            body,
            text.count("\n", 0, start) + 1,
            caption if is_file else first_line[1] if first_line else "",
            refused=bool(match["refused"]),
            left_alone="no-run" in options.get("class", "").split(),
        )


def commands_of(block: Block) -> list[Command]:
    """The commands of a console block; a backslash joins lines."""
    found: list[Command] = []
    lines = enumerate(block.text.splitlines(), start=block.line)
    for number, line in lines:
        if line.startswith("$ "):
            typed = line.removeprefix("$ ")
            while typed.endswith("\\"):
                typed = typed[:-1] + next(lines)[1].strip()
            found.append(Command(typed, [], number))
        elif found:
            found[-1].shown.append(line.rstrip())
    for command in found:
        while command.shown and not command.shown[-1]:
            command.shown.pop()
    return found


def words_of(typed: str) -> list[str]:
    """A command line as a shell takes it apart; names with ``*`` stand for files."""
    words = shlex.split(typed, comments=True)
    globbed = [sorted(map(str, Path().glob(w))) if "*" in w else [] for w in words]
    return [
        *itertools.chain.from_iterable(
            found or [w] for found, w in zip(globbed, words, strict=True)
        )
    ]


def at_once(words: list[str]) -> bool:
    """Whether a command line needs neither data nor time."""
    return words[0] in ("config", "dry-run") or bool(
        {"--help", "--version"}.intersection(words)
    )


def first_missing(shown: list[str], real: list[str]) -> str:
    """The first of the lines shown that is not where it should be; empty if none.

    What stands between two ``...`` must stand together, after what came before.
    """
    real, at = [line.rstrip() for line in real], 0
    for is_gap, group in itertools.groupby(shown, lambda line: line.strip() == "..."):
        lines = list(group)
        if is_gap:
            continue
        places = range(at, len(real) - len(lines) + 1)
        fits = [n for n in places if real[n : n + len(lines)] == lines]
        if not fits:
            return next((one for one in lines if one not in real[at:]), lines[0])
        at = fits[0] + len(lines)
    return ""


@pytest.fixture
def reader_of(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Callable[[str], Reader]]:
    """A reader of a page, in a folder of their own."""
    (tmp_path / "config.toml").touch()
    monkeypatch.setenv("COLUMNS", "88")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield lambda page: Reader(page, capsys)
    for name in set(sys.modules) - before:
        where = getattr(sys.modules[name], "__file__", None)
        if where and Path(where).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_works(page: str, reader_of: Callable[[str], Reader]) -> None:
    reader = reader_of(page)
    for block in blocks_of(PAGES[page].read_text("utf-8")):
        reader.does(block)


@pytest.mark.parametrize("page", PAGES)
def test_every_example_is_in_a_block(page: str) -> None:
    text = PAGES[page].read_text("utf-8")
    outside = BLOCK.sub("", text)
    assert not re.search(r"^ *(>>>|\$ slangmod)", outside, re.MULTILINE)
    assert not re.search(r"^ *(:class: .*no-run|\.\. refused)", outside, re.MULTILINE)


GOOD = """
.. code-block:: toml
   :caption: first.toml

   seed = 3

.. code-block:: toml

   # second.toml
   base = "first.toml"
   [train]
   warmup = 5

.. refused

.. code-block:: toml

   seeed = 3

.. code-block:: toml
   :class: no-run

   not toml

.. code-block:: python
   :caption: trials.py

   import slangmod
   best = slangmod.load_settings("second.toml")

.. code-block:: python

   >>> best.train.warmup
   5

.. code-block:: console

   $ slangmod config show --toml second.toml --changed
   seed = 3   # first.toml:1
   ...
   warmup = 5   # second.toml:4
   $ slangmod config show --settings trials:best --changed \\
       --train.warmup 7
   ...
   warmup = 7   # --train.warmup, was 5 in trials:best
   $ SLM_SEED=4 slangmod config explain seed > seed.txt
   $ slangmod config check first.toml s*.toml   # all of them
   first.toml: sound
   second.toml: sound
   $ slangmod train --train.warmup x
   slangmod: error: --train.warmup = "x": must be a whole number, at least 0 or a text \
such as "5%" (of the planned training), "2 epochs" or "1M tokens"
   $ slangmod train --toml second.toml
   $ unknown --to us
"""


def test_a_good_page_passes(reader_of: Callable[[str], Reader]) -> None:
    reader = reader_of("page")
    for block in blocks_of(GOOD):
        reader.does(block)
    explained = Path("seed.txt").read_text()
    assert explained.startswith("seed = 4\n")
    assert "  origin          SLM_SEED\n" in explained


WRONG = {
    'base = "first.toml"': 'base = "third.toml"',
    "seed = 3\n": "seed = -3\n",
    "seeed = 3": "seed = 3",
    "   :class: no-run\n": "",
    "   5\n": "   6\n",
    'load_settings("second.toml")': 'load_settings("fifth.toml")',
    "warmup = 5   # second.toml:4": "warmup = 5   # second.toml:3",
    "seed = 3   # first.toml:1": "warmup = 5   # second.toml:4",
    "warmup = 7 ": "warmup = 8 ",
    "config explain seed": "config explain sed",
    "first.toml: sound": "first.toml: fine",
    "must be a whole number": "must be a number",
    "train --toml second.toml": "train --toml second.toml --warmup 3",
    "second.toml\n   $ unknown": "fourth.toml\n   $ unknown",
}


@pytest.mark.parametrize("right", WRONG)
def test_a_page_with_an_example_that_does_not_work_fails(
    reader_of: Callable[[str], Reader], right: str
) -> None:
    assert right in GOOD
    reader = reader_of("page")
    with pytest.raises(AssertionError, match="page"):
        for block in blocks_of(GOOD.replace(right, WRONG[right])):
            reader.does(block)
