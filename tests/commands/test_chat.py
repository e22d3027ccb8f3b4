import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from slangmod.cli import main
from slangmod.commands import chat
from slangmod.runs.directory import RunDir


def talk(monkeypatch: Any, typed: str | bytes, *words: str) -> int:
    """Chat through a pipe."""
    content = typed if isinstance(typed, bytes) else typed.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    return main(["chat", *words])


def histories(run: RunDir) -> list[Any]:
    paths = sorted((run.root / "chats").glob("*.json"))
    return [json.loads(path.read_text()) for path in paths]


def roles(history: Any) -> list[str]:
    return [turn["role"] for turn in history["turns"]]


def test_each_line_has_an_answer(talker: RunDir, monkeypatch: Any, capsys: Any) -> None:
    assert talk(monkeypatch, "Hello\nHow are you?\nStop!\n", "--chat.bot", "Ada") == 0
    lines = capsys.readouterr().out.splitlines()
    # No end symbol is ever generated, so answers are cut off at 12 tokens.
    assert [line[:5] for line in lines] == ["Ada> "] * 2
    assert all(line.endswith(" ...") for line in lines)
    assert all(len(line) == 5 + 12 + 4 for line in lines)


def test_the_history_holds_what_was_shown(
    talker: RunDir, monkeypatch: Any, capsys: Any
) -> None:
    words = ("--chat.system", "Once upon a time", "--chat.user", "Bob")
    talk(monkeypatch, "Hello\nStop!\n", *words)
    shown = capsys.readouterr().out.removeprefix("BOT> ").removesuffix(" ...\n")
    assert histories(talker) == [
        {
            "run": "first",
            "turns": [
                {"role": "system", "text": "Once upon a time"},
                {"role": "Bob", "text": "Hello"},
                {"role": "BOT", "text": shown},
            ],
        }
    ]


def test_the_end_of_input_saves_and_is_no_error(
    talker: RunDir, monkeypatch: Any, capsys: Any
) -> None:
    assert talk(monkeypatch, "Hello") == 0
    assert "Traceback" not in capsys.readouterr().err
    assert roles(histories(talker)[0]) == ["USR", "BOT"]


def test_an_empty_line_goes_on_with_a_cut_off_answer(
    talker: RunDir, monkeypatch: Any, capsys: Any
) -> None:
    talk(monkeypatch, "\nHello\n\nStop!\n")
    answers = [
        line.removeprefix("BOT> ").removesuffix(" ...")
        for line in capsys.readouterr().out.splitlines()
    ]
    assert len(answers) == 2
    history = histories(talker)[0]
    assert roles(history) == ["USR", "BOT"]
    assert history["turns"][1]["text"] == "".join(answers)


def test_an_empty_line_after_a_finished_answer_is_ignored(
    talker: RunDir, monkeypatch: Any, capsys: Any
) -> None:
    talk(monkeypatch, "Hello\nStop!\n", "--chat.stop", "Stop!")
    first = capsys.readouterr().out[5]
    talk(monkeypatch, f"Hello\n\n\n{first}\n", "--chat.stop", first)
    assert capsys.readouterr().out == "BOT> \n"


def test_without_a_word_nothing_is_saved(
    talker: RunDir, monkeypatch: Any, capsys: Any
) -> None:
    assert talk(monkeypatch, "Stop!\n") == 0
    assert talk(monkeypatch, "") == 0
    assert capsys.readouterr().out.strip() == ""
    assert not (talker.root / "chats").exists()


def test_two_chats_in_one_second_are_both_kept(
    talker: RunDir, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setattr(chat.time, "strftime", lambda _: "now")
    for word in ("one", "two", "three"):
        talk(monkeypatch, f"{word}\n")
    assert {h["turns"][0]["text"] for h in histories(talker)} == {"one", "two", "three"}


def test_ctrl_c_in_an_answer_saves_its_beginning(
    talker: RunDir, monkeypatch: Any, capsys: Any
) -> None:
    said: list[str] = []

    def interrupt(text: str) -> None:
        said.append(text)
        if len(said) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(chat, "say", interrupt)
    assert talk(monkeypatch, "Hello\n") == 0
    turns = histories(talker)[0]["turns"]
    assert turns[1]["text"] == "".join(said[1:5])


def test_what_is_typed_may_be_any_bytes(
    talker: RunDir, monkeypatch: Any, capsys: Any
) -> None:
    assert talk(monkeypatch, b"Hello \xff\xfe \x1b[31m\n") == 0
    said = histories(talker)[0]["turns"][0]["text"]
    assert said.startswith("Hello \ufffd")
    assert "\x1b" not in said


def test_the_system_text_may_be_a_file(
    talker: RunDir, monkeypatch: Any, capsys: Any
) -> None:
    (talker.root / "system.txt").write_text("From a file.")
    path = str(talker.root / "system.txt")
    talk(monkeypatch, "Hello\n", "--chat.system", path)
    assert histories(talker)[0]["turns"][0]["text"] == "From a file."


@pytest.mark.parametrize("text", ["", "no file", "x" * 5000, "a\nb", "nul\0"])
def test_what_is_no_file_is_the_system_text(text: str) -> None:
    assert chat.read_system(text) == text


def test_a_system_file_that_is_no_text_is_refused(
    talker: RunDir, monkeypatch: Any, capsys: Any
) -> None:
    (talker.root / "binary").write_bytes(b"\xff\x00")
    path = str(talker.root / "binary")
    assert talk(monkeypatch, "Hello\n", "--chat.system", path) == 2
    assert "chat.system" in capsys.readouterr().err


class Terminal:
    """``slangmod chat`` as a person sees it."""

    def __init__(self, run: RunDir) -> None:
        self.control, child = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "slangmod", "chat"],
            cwd=run.root.parent.parent,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TERM": "dumb"},
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
        )
        os.close(child)
        self.seen = ""

    def until(self, text: str, times: int = 1) -> None:
        """Read until ``text`` was seen so often."""
        patience = time.monotonic() + 100
        while self.seen.count(text) < times:
            assert time.monotonic() < patience, self.seen
            try:
                self.seen += os.read(self.control, 4096).decode()
            except OSError as error:
                raise AssertionError(self.seen) from error

    def type(self, text: str) -> None:
        os.write(self.control, text.encode())

    def finish(self) -> int:
        code = self.process.wait(100)
        while True:
            try:
                more = os.read(self.control, 4096)
            except OSError:
                break
            if not more:
                break
            self.seen += more.decode()
        os.close(self.control)
        return code


@pytest.mark.slow
@pytest.mark.parametrize("way", ["stop", "ctrl-d", "ctrl-c"])
def test_a_conversation_in_a_terminal_ends_well(talker: RunDir, way: str) -> None:
    terminal = Terminal(talker)
    terminal.until("USR> ")
    terminal.type("Hello\n")
    terminal.until("BOT> ")
    terminal.until("USR> ", times=2)
    if way == "ctrl-c":
        terminal.process.send_signal(signal.SIGINT)
    else:
        terminal.type({"stop": "Stop!\n", "ctrl-d": "\x04"}[way])
    assert terminal.finish() == 0
    assert "Traceback" not in terminal.seen
    assert roles(histories(talker)[0]) == ["USR", "BOT"]
