"""``slangmod generate``: a text that goes on from a prompt, on standard output."""

import sys

from slangmod.commands.call import Call
from slangmod.commands.choosing import say
from slangmod.commands.speaker import open_speaker
from slangmod.errors import UserError
from slangmod.generation.generate import stream_text
from slangmod.generation.terminal import printable


def run(call: Call) -> None:
    """Write the prompt and its continuation, as it comes, and a newline.

    The text ends where the model ends it, before ``chat.stop``, or after
    ``chat.max_tokens`` tokens.
    """
    prompt = read_prompt(call)
    speaker = open_speaker(call)
    ids = speaker.generate(speaker.codec.encode(prompt))
    say(printable(prompt))
    for piece in stream_text(ids, speaker.codec, speaker.settings.chat.stop):
        say(printable(piece))
    say("\n")


def read_prompt(call: Call) -> str:
    """The words of the call, or its ``--prompt``; ``-`` is standard input.

    One newline at the end of standard input is dropped, since most programs write it.
    Raises UserError if there are both words and a prompt.
    """
    given = call.flags.get("prompt")
    if given is None:
        return " ".join(call.words)
    if call.words:
        raise UserError(
            f'--prompt = "{given}": there is text beside it, '
            f'"{" ".join(call.words)}"; give one of them'
        )
    if given != "-":
        return str(given)
    return sys.stdin.buffer.read().decode("utf-8", "replace").removesuffix("\n")
