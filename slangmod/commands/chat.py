"""``slangmod chat``: a conversation in the terminal, kept in the run's folder."""

import io
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from slangmod import files
from slangmod.commands.call import Call
from slangmod.commands.choosing import say
from slangmod.commands.speaker import Speaker, open_speaker
from slangmod.errors import UserError
from slangmod.generation.conversation import STYLES, Conversation
from slangmod.generation.terminal import printable
from slangmod.reading import read_limited, refuse_link

LOG = logging.getLogger(__name__)

LARGEST_SYSTEM: Final = 1 << 20
"""Bytes of a file that ``chat.system`` names."""


def run(call: Call) -> None:
    """Talk until the user says ``chat.stop``, or ends it by Ctrl-D or Ctrl-C.

    The history is saved to ``chats/`` in the run's folder after every answer, and the
    beginning of an answer that was interrupted is in it too.
    """
    speaker = open_speaker(call)
    chat = speaker.settings.chat
    conversation = open_conversation(speaker)
    path = history_path(speaker.run.root / "chats")
    LOG.info('say "%s" to end the conversation', chat.stop)

    def save() -> None:
        save_history(path, speaker.run.name, conversation)

    try:
        converse(conversation, user_lines(chat.user), save)
    except (KeyboardInterrupt, EOFError):
        say("\n")
    if any(turn.role != "system" for turn in conversation.turns):
        save()
        LOG.info("the conversation is in %s", path)


def open_conversation(speaker: Speaker) -> Conversation:
    """A conversation that begins with the system text, if there is one."""
    chat = speaker.settings.chat
    return Conversation(
        speaker.generate,
        speaker.codec,
        STYLES[chat.style],
        max_tokens=chat.max_tokens,
        stop=chat.stop,
        system=read_system(chat.system),
        user=chat.user,
        bot=chat.bot,
    )


def converse(
    conversation: Conversation, lines: Iterator[str], save: Callable[[], None]
) -> None:
    """Answer each line. An empty line asks for more of an answer that was cut off."""
    for line in lines:
        if line.strip() == conversation.stop:
            return
        if line.strip():
            pieces = conversation.say(line)
        elif not conversation.finished:
            pieces = conversation.proceed()
        else:
            continue
        say(f"{printable(conversation.bot)}> ")
        begun = False
        for piece in pieces:
            shown = piece if begun else piece.lstrip()
            begun = begun or bool(shown)
            say(shown)
        say("\n" if conversation.finished else " ...\n")
        save()


def user_lines(name: str) -> Iterator[str]:
    """What the user types; asked for by name on a terminal. Raises EOFError."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    with suppress(ImportError):
        import readline  # noqa: F401  (arrow keys work from here on)
    prompt = f"{printable(name)}> " if sys.stdin.isatty() else ""
    while True:
        yield input(prompt)


def read_system(system: str) -> str:
    """The system text: that of the file of this name, or else the words themselves.

    Raises UserError if there is such a file but it cannot be read as text.
    """
    try:
        is_file = bool(system) and Path(system).is_file()
    except (OSError, ValueError):  # too long, or no name for a file
        is_file = False
    if not is_file:
        return system
    try:
        return read_limited(Path(system), LARGEST_SYSTEM).decode("utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f'chat.system = "{system}": {error}') from error


def history_path(folder: Path) -> Path:
    """A new file in ``folder``, named by date and time."""
    start = time.strftime("%Y-%m-%d.%Hh%Mm%Ss")
    names = (f"{start}{'-' * (n > 1)}{n if n > 1 else ''}.json" for n in range(1, 1000))
    return next(folder / name for name in names if not (folder / name).exists())


def save_history(path: Path, run: str, conversation: Conversation) -> None:
    """Write all turns so far as JSON, all or nothing."""
    refuse_link(path.parent)
    path.parent.mkdir(exist_ok=True)
    turns = [{"role": turn.role, "text": turn.text} for turn in conversation.turns]
    files.write_json(path, {"run": run, "turns": turns})
