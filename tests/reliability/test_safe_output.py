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
from slangmod.runs.logfile import RunLog
from slangmod.settings.literals import printable, quoted

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


@pytest.fixture
def hostile(make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """Two runs whose files say what a terminal or a browser might obey."""
    monkeypatch.chdir(tmp_path)
    evil = quoted(EVERYTHING + "<script>alert(1)</script>")
    for name in ("first", "second"):
        run = make_run(name)
        run.config.write_text(
            f"[files]\nraw = {evil}\n[chat]\nbot = {evil}\nsystem = {evil}\n"
            f'[train]\nscaling = "inverse"\n[extra]\nnote = {evil}\n'
            f"{evil} = {quoted(name)}\n"
        )
        run.summary.write_text(
            f"[outcome]\nreason = {evil}\nwhy = {evil}\n[environment]\ncpu = {evil}\n"
        )
        sample = {"step": 1, "tokens": 5, "prompt": EVERYTHING, "text": EVERYTHING}
        run.samples.write_text(json.dumps(sample) + "\n")
        with run.steps.open("a") as table:
            table.write("\x1b[31m,1,2\n")
    return run


LOOKING = (
    ("summarize",),
    ("compare",),
    ("compare", "--format", "json"),
    ("compare", "--format", "csv"),
    ("compare", "--gnuplot"),
    ("monitor", "first"),
    ("monitor", "first", "--gnuplot"),
    ("report",),
    ("verify", "first"),
    ("verify", "first", "--json"),
    ("config", "diff", "runs/first/config.toml", "runs/second/config.toml"),
    ("config", "show", "--toml", "runs/first/config.toml"),
    ("config", "show", "--json", "--toml", "runs/first/config.toml"),
    ("config", "explain", "chat.bot", "--toml", "runs/first/config.toml"),
    ("config", "check", "runs/first/config.toml", "\x1b[2J.toml"),
    ("chat", "--name", "first"),
    ("generate", "--name", "second", EVERYTHING.replace("\x00", "")),
    ("train", "--name", EVERYTHING),
    (EVERYTHING,),
    ("--" + EVERYTHING,),
    ("train", f"--train.{EVERYTHING}", "1"),
    ("train", "--train.scaling", EVERYTHING),
    ("train", "--toml", EVERYTHING.replace("/", "")),
    ("clean", "--files.raw", EVERYTHING),
    ("resume", "--name", "first", "--allow-change", EVERYTHING),
)


def test_no_command_shows_what_files_say_raw(hostile, capsys, promise) -> None:
    for words in LOOKING:
        main(list(words))
        said = capsys.readouterr()
        assert not RAW.search(said.out), words
        assert not RAW.search(said.err), words
    promise("R19", len(LOOKING))


def test_a_page_shows_what_files_say_as_text(hostile, promise) -> None:
    assert main(["report", "first", "second", "--output", "page.html"]) == 0
    page = Path("page.html").read_text("utf-8")
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "\x1b" not in page  # the library of plots has other controls
    assert "\u202e" not in page
    assert main(["compare", "--format", "html"]) == 0
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
