"""A conversation with a model that has only ever learnt to go on with a text.

So what was said becomes a text, in which the answer is what comes next. Which text
makes an answer likely depends on what the model was trained on:

    space      Hello there. [answer] How are you? [answer]
               One running text; the model goes on where the user stopped.
    paragraph  Hello there. <end> [answer] <end> How are you? <end> [answer]
               Each turn is a document; for training texts cut into paragraphs.
    quotes     "Hello there," [answer] "How are you?" [answer]
               The user is quoted; the model tells who said it and what followed.
    dialogue   "Hello there." <end> [answer] <end> "How are you?" <end> [answer]
               The user is quoted in a paragraph of his own, as in a novel; the next
               paragraph, likely quoted too, is the answer.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from slangmod.generation.generate import Generate, stream_text
from slangmod.generation.terminal import printable
from slangmod.text.tokenizer import Codec


class Style(NamedTuple):
    """How turns become text."""

    lay_out: Callable[[str], str]
    """what the user said -> how it stands in the text"""
    documents: bool
    """each turn ends with the end symbol; else a space parts it from the next"""


def plain(said: str) -> str:
    """What was said, without blanks around it."""
    return said.strip()


def quoted(said: str) -> str:
    """What was said, in quotation marks."""
    return f'"{said.strip().strip('"')}"'


def quoted_within(said: str) -> str:
    """What was said, in quotation marks, in the middle of a sentence."""
    speech = said.strip().strip('"').rstrip(",")
    if not speech.endswith(("?", "!", "-", "...")):
        speech = speech.removesuffix(".") + ","
    return f'"{speech}"'


STYLES: dict[str, Style] = {
    "space": Style(plain, documents=False),
    "paragraph": Style(plain, documents=True),
    "quotes": Style(quoted_within, documents=False),
    "dialogue": Style(quoted, documents=True),
}


class Turn(NamedTuple):
    """What one side has said."""

    role: str
    text: str


class Conversation:
    """What was said so far, as turns for people and as ids for the model.

    ``stop`` ends an answer that contains it. An answer is ``finished`` unless
    ``max_tokens`` or an interruption cut it off; ``proceed`` goes on with it.
    """

    def __init__(
        self,
        generate: Generate,
        codec: Codec,
        style: Style,
        *,
        max_tokens: int,
        stop: str,
        system: str,
        user: str,
        bot: str,
    ) -> None:
        self.generate = generate
        self.codec = codec
        self.style = style
        self.max_tokens = max_tokens
        self.stop = stop
        self.user = user
        self.bot = bot
        self.turns: list[Turn] = []
        self.ids: list[int] = []
        self.finished = True
        if system:
            self.turns.append(Turn("system", printable(system)))
            self.ids += codec.encode(system.strip())

    def say(self, text: str) -> Iterator[str]:
        """The answer to ``text``, printable, in pieces as they come."""
        if self.ids and self.style.documents:
            self.ids.append(self.codec.end)
        gap = " " if self.ids and not self.style.documents else ""
        self.ids += self.codec.encode(gap + self.style.lay_out(text))
        if self.style.documents:
            self.ids.append(self.codec.end)
        self.turns += [Turn(self.user, printable(text)), Turn(self.bot, "")]
        return self.proceed()

    def proceed(self) -> Iterator[str]:
        """More of the last answer, printable, in pieces as they come."""
        new: list[int] = []
        for piece in stream_text(self.noted(new), self.codec, self.stop):
            shown = printable(piece)
            last = self.turns[-1]
            self.turns[-1] = last._replace(text=last.text + shown)
            yield shown
        text = self.codec.decode(new)
        cut = bool(self.stop) and self.stop in text
        self.ids += self.codec.encode(text[: text.index(self.stop)]) if cut else new
        self.finished = cut or len(new) < self.max_tokens

    def noted(self, new: list[int]) -> Iterator[int]:
        """What the model generates, added to ``new`` as it comes."""
        self.finished = False
        for token in self.generate(self.ids):
            new.append(token)
            yield token
