"""Nothing that a file, a model or a user says reaches terminal or log raw."""

import json
import logging
import re
import shutil
from pathlib import Path

import pytest

from slangmod.cli import main
from slangmod.generation.terminal import printable as for_terminal
from slangmod.runs.directory import RunDir
from slangmod.runs.live import answer
from slangmod.runs.logfile import RunLog
from slangmod.runs.pages import plotly_script
from slangmod.runs.points import Points
from slangmod.settings.literals import printable, quoted
from slangmod.settings.sections import Plot

RAW = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]"
)
"""C0 but tab and newline, delete, C1, signs that turn the direction of writing."""

SEQUENCES = (
    "\x1b[31mred\x1b[0m",
    "\x1b[2J\x1b[H",
    "\x9b31m",
    "\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
    "\x9d0;title\x9c",
    "\x1bPq#0\x1b\\",
    "\x1b^pm\x1b\\",
    "\x1b_apc\x1b\\",
    "\x1bc",
    "\x1b(0",
    "over\rwritten",
    "back\b\b\b\b",
    "\u202eesrever\u202c",
    "\u2066isolate\u2069",
    "new\nline\x0bfeed\x0cs",
    "nul\x00bell\x07",
    "\x85next\u2028line\u2029",
)
BYTES = tuple(chr(number) for number in range(256))
EVERYTHING = "".join((*BYTES, *SEQUENCES))
SCRIPT = "<script>alert(1)</script>"


@pytest.mark.parametrize("clean", [printable, for_terminal])
def test_no_sign_that_a_terminal_obeys_is_left(clean, promise) -> None:
    trials = (*BYTES, *SEQUENCES, EVERYTHING, *(f"a{one}b\n" for one in SEQUENCES))
    for text in trials:
        assert not RAW.search(clean(text).replace("\u2028", "").replace("\u2029", ""))
        pieces = "".join(clean(one) for one in text)
        assert not re.search("[\x1b\x80-\x9f\x00\x07\x08]", pieces)
    promise("R19", len(trials))


def test_a_record_is_a_line_of_the_log_whatever_it_says(tmp_path, promise) -> None:
    log = RunLog()
    log.open(tmp_path / "train.log")
    texts = [*BYTES, *SEQUENCES, EVERYTHING, "\ud800", "a\r\nb"]
    for text in texts:
        log.emit(logging.LogRecord("a", 20, "p", 1, "%s", (text,), None))
    log.close()
    lines = (tmp_path / "train.log").read_bytes().decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(texts)
    assert not any(RAW.search(line) for line in lines)
    promise("R19", len(texts))


def evil(mark: str) -> str:
    """Text that begins with a word to look for, and would do harm after it."""
    return mark + "".join(SEQUENCES)


def path(mark: str) -> str:
    """Such text as the name of a file."""
    return evil(mark).replace("/", "").replace("\x00", "")


SOURCE = "\x9b2J\u202e"
"""What a comment in TOML may hold."""


@pytest.fixture
def hostile(make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """Two runs whose files say what a terminal or a browser might obey."""
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        run = make_run(name)
        run.config.write_text(
            f"[files]\nraw = {quoted(path('raw-' + name))}\n"
            f"[chat]\nbot = {quoted(evil('bot-' + name))}   # origin-{SOURCE}\n"
            f"[extra]\nnote = {quoted(evil('note-' + name) + SCRIPT)}\n"
            f"{quoted(evil('key-'))} = {quoted(name)}\n"
            f"[extra.{quoted(evil('table-'))}]\ninner = {quoted(name)}\n"
        )
        run.summary.write_text(
            f"[outcome]\nreason = {quoted(evil('reason-'))}\n"
            f"why = {quoted(evil('why-'))}\n"
            f"[environment]\ncpu = {quoted(evil('cpu-'))}\n"
            f"{quoted(evil('fact-'))} = 1\n"
            f"[cost]\nverdict = {quoted(evil('verdict-'))}\n"
            "flops_per_token = 1\npeak_flops = 1\n"
            f"peak_source = {quoted(evil('source-'))}\n"
        )
        sample = {"step": 1, "tokens": 5, "prompt": evil("prompt-"), "text": SCRIPT}
        run.samples.write_text(json.dumps(sample) + "\n")
        head, *rows = run.steps.read_text().splitlines()
        column = evil("column-").replace("\n", "").replace("\r", "").replace(",", "")
        lines = [f"{head},{column}", *(f"{row},1" for row in rows)]
        run.steps.write_text("\n".join([*lines, "\x1b[31m,1,2"]) + "\n")
    (tmp_path / "runs" / f"folder-{SOURCE}").mkdir()
    (tmp_path / "wrong.toml").write_text(
        f"{quoted(evil('wrong-'))} = 1\n"
        f"[train]\noptimizer = {quoted(evil('choice-'))}\n"
    )
    (tmp_path / "based.toml").write_text(f"base = {quoted(path('base-'))}\n")
    (tmp_path / f"sound-{SOURCE}.toml").write_text("seed = 1\n")
    return run


SETTINGS = ("raw-first", "bot-first", "note-first", "key-", "table-", "inner")
LOOKING: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("summarize",), (*SETTINGS, "reason-", "why-", "cpu-", "fact-", "verdict-")),
    (("compare",), (*SETTINGS, "reason-")),
    (("compare", "--format", "json"), (*SETTINGS, "reason-")),
    (("compare", "--format", "csv"), (*SETTINGS, "reason-")),
    (("compare", "--gnuplot"), ("first",)),
    (("monitor", "first"), ("reason-",)),
    (("monitor", "first", "--gnuplot"), ("first",)),
    (("verify", "first"), ("runs/first",)),
    (("verify", "first", "--json"), ("runs/first",)),
    (("config", "diff", "runs/first/config.toml", "runs/second/config.toml"), SETTINGS),
    (("config", "show", "--toml", "runs/first/config.toml"), SETTINGS),
    (("config", "show", "--json", "--toml", "runs/first/config.toml"), SETTINGS),
    (("config", "explain", "chat.bot", "--toml", "runs/first/config.toml"), ("bot-",)),
    (("config", "explain", "extra", "--toml", "runs/first/config.toml"), ("note-",)),
    (("config", "explain", "chat.bot", "--toml", "wrong.toml"), ("wrong-", "choice-")),
    (("config", "show", "--toml", "based.toml"), ("base-",)),
    (("config", "check", f"sound-{SOURCE}.toml"), ("sound-", ": sound")),
    (("config", "check", "runs/first/config.toml", "gone\x1b[2J.toml"), ("gone",)),
    (("chat", "--name", "first"), ("runs/first",)),
    (("chat", "--name", "first", "--files.raw", "x"), ("raw-",)),
    (("generate", "--name", "second", "prompt"), ("runs/second",)),
    (("train", "--name", evil("name-")), ("name-",)),
    (("compare", evil("name-")), ("name-",)),
    ((evil("action-"),), ("action-",)),
    (("train", "--" + evil("flag-")), ("flag-",)),
    (("train", f"--train.{evil('setting-')}", "1"), ("setting-",)),
    (("train", "--train.scaling", evil("shape-")), ("shape-",)),
    (("train", "--toml", path("file-")), ("file-",)),
    (("clean", "--files.raw", evil("place-")), ("place-",)),
    (("--debug", "clean", "--files.raw", evil("place-")), ("place-", "Traceback")),
    (("--debug", "compare", evil("name-")), ("name-", "Traceback")),
    (("resume", "--name", "first", "--allow-change", evil("change-")), ("change-",)),
]  # fmt: skip
"""Commands, and what of the files they must show."""


@pytest.mark.parametrize(("words", "shown"), LOOKING)
def test_no_command_shows_what_files_say_raw(
    hostile, capsys, promise, words: tuple[str, ...], shown: tuple[str, ...]
) -> None:
    main(list(words))
    said = capsys.readouterr()
    for mark in shown:
        assert mark in said.out + said.err
    assert not RAW.search(said.out)
    assert not RAW.search(said.err)
    assert "folder-" not in said.out + said.err  # it is no run
    promise("R19", 1)


PAGES = (("report", "first", "second", "--output", "page.html"),
         ("compare", "--format", "html"))  # fmt: skip


@pytest.mark.parametrize("words", PAGES)
def test_a_page_shows_what_files_say_as_text(hostile, capsys, promise, words) -> None:
    assert main(list(words)) == 0
    said = capsys.readouterr()
    page = said.out or Path("page.html").read_text("utf-8")
    for mark in (*SETTINGS, "reason-", "cpu-", "fact-", "verdict-", "source-",
                 "prompt-", "column-", "origin-", "alert(1)"):  # fmt: skip
        assert mark in page
    assert "<script>alert" not in page
    library = plotly_script()  # which has controls of its own
    assert library in page
    assert not RAW.search(page.replace(library, "").replace("\t", ""))
    assert not RAW.search(said.err)
    promise("R19", 1)


def test_a_live_page_is_told_what_files_say_as_text(hostile, promise) -> None:
    told = answer((Points(hostile, 20),), Plot(), "").decode("ascii")
    for mark in ("reason-", "prompt-", "column-"):
        assert mark in told
    assert not RAW.search(told)
    promise("R19", 1)


def test_names_of_raw_files_do_not_reach_the_log_raw(
    tmp_path, monkeypatch, capsys, promise
) -> None:
    monkeypatch.chdir(tmp_path)
    raw = tmp_path / "raw"
    raw.mkdir()
    trials = 0
    for number, text in enumerate(SEQUENCES):
        shutil.rmtree("corpus", ignore_errors=True)
        name = text.replace("/", "").replace("\x00", "")
        (raw / f"{name}{number}.txt").write_text("some text\n" * 40)
        (raw / f"{name}{number}.jsonl").write_text("{")
        (raw / "train.txt").write_text("more text\n" * 40)
        main(["clean", "--files.raw", "raw"])
        said = capsys.readouterr()
        assert not RAW.search(said.out + said.err)
        (raw / f"{name}{number}.jsonl").unlink()
        assert main(["clean", "--files.raw", "raw"]) == 0
        said = capsys.readouterr()
        assert not RAW.search(said.out + said.err)
        trials += 2
    promise("R19", trials)
