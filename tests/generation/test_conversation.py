from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from slangmod.generation.conversation import (
    STYLES,
    Conversation,
    quoted,
    quoted_within,
)
from slangmod.settings.sections import Chat

END = 256


class Scripted:
    """Generates what it is told to, and remembers what it was asked."""

    def __init__(self, codec: Any, *answers: str) -> None:
        self.codec = codec
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, prompt: Sequence[int]) -> Iterator[int]:
        pieces = "".join("<end>" if i == END else chr(i) for i in prompt)
        self.asked.append(pieces)
        return iter(self.codec.encode(self.answers.pop(0))[:20])


def conversation(
    codec: Any, *answers: str, style: str = "space", system: str = ""
) -> tuple[Conversation, Scripted]:
    script = Scripted(codec, *answers)
    talk = Conversation(
        script,
        codec,
        STYLES[style],
        max_tokens=20,
        stop="Stop!",
        system=system,
        user="USR",
        bot="BOT",
    )
    return talk, script


def test_settings_name_what_the_table_holds() -> None:
    words = Chat.model_json_schema()["properties"]["style"]["enum"]
    assert set(words) == STYLES.keys()


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("space", "Once. Hi there. Yes? Go on."),
        ("paragraph", "Once.<end>Hi there.<end> Yes?<end>Go on.<end>"),
        ("quotes", 'Once. "Hi there," Yes? "Go on,"'),
        ("dialogue", 'Once.<end>"Hi there."<end> Yes?<end>"Go on."<end>'),
    ],
)
def test_turns_are_joined_by_style(codec: Any, style: str, text: str) -> None:
    talk, script = conversation(codec, " Yes?", "", style=style, system=" Once.\n")
    assert "".join(talk.say("Hi there. ")) == " Yes?"
    "".join(talk.say("Go on."))
    assert script.asked[1] == text


@pytest.mark.parametrize("style", STYLES)
def test_without_a_system_text_the_user_begins(codec: Any, style: str) -> None:
    talk, script = conversation(codec, "", style=style)
    list(talk.say("Hi"))
    assert script.asked[0].strip('",').startswith("Hi")


@pytest.mark.parametrize(
    ("said", "within", "alone"),
    [
        ("Hello", '"Hello,"', '"Hello"'),
        ("Hello.", '"Hello,"', '"Hello."'),
        ("Hello,", '"Hello,"', '"Hello,"'),
        ("Hello?", '"Hello?"', '"Hello?"'),
        (' "Hello!" ', '"Hello!"', '"Hello!"'),
        ("Well...", '"Well..."', '"Well..."'),
    ],
)
def test_what_was_said_is_quoted_as_in_books(
    said: str, within: str, alone: str
) -> None:
    assert quoted_within(said) == within
    assert quoted(said) == alone


def test_turns_are_kept_as_they_were_shown(codec: Any) -> None:
    talk, _ = conversation(codec, "Red\x1b[31m and\x07 dead", system="Be brief.")
    assert "".join(talk.say("Colour?")) == "Red[31m and dead"
    assert talk.turns == [
        ("system", "Be brief."),
        ("USR", "Colour?"),
        ("BOT", "Red[31m and dead"),
    ]


def test_an_answer_cut_off_by_its_length_can_go_on(codec: Any) -> None:
    talk, script = conversation(codec, "a" * 30, "and so on", "new")
    assert talk.finished
    assert "".join(talk.say("Hi")) == "a" * 20
    assert not talk.finished
    assert "".join(talk.proceed()) == "and so on"
    assert talk.finished
    assert talk.turns[-1].text == "a" * 20 + "and so on"
    list(talk.say("Next"))
    assert script.asked[1] == "Hi" + "a" * 20
    assert script.asked[2] == "Hi" + "a" * 20 + "and so on Next"


def test_stop_ends_an_answer_and_is_forgotten(codec: Any) -> None:
    talk, script = conversation(codec, "No more. Stop! x", "fine")
    assert "".join(talk.say("Hi")) == "No more. "
    assert talk.finished
    list(talk.say("Next"))
    assert script.asked[1] == "HiNo more.  Next"


def test_what_was_said_before_an_interruption_is_kept(codec: Any) -> None:
    talk, _ = conversation(codec, "abcdef")
    answer = talk.say("Hi")
    assert next(answer) == "a"
    assert next(answer) == "b"
    answer.close()
    assert talk.turns[-1] == ("BOT", "ab")
    assert not talk.finished
