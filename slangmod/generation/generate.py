"""From a prompt to its continuation, token by token and then as text."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from slangmod.generation.beams import beam_search
from slangmod.generation.reader import Reader
from slangmod.generation.sampling import Sampler, greedy, top_k, top_p
from slangmod.model.transformer import Transformer
from slangmod.settings.sections import Chat, Settings
from slangmod.text.tokenizer import Codec

Generate = Callable[[Sequence[int]], Iterator[int]]
"""Ids of a prompt -> ids of its continuation, as they come, without an end symbol.

Fewer than ``max_tokens`` mean that the model came to an end.
"""


def build_generator(settings: Settings, model: Transformer, end: int) -> Generate:
    """The generator of [chat], which seeds its chance here and now.

    ``end``: id of the end symbol, which an empty prompt starts from. The model is put
    into evaluation mode. As many threads as are asked for; one for each new token of a
    single stream where nothing is.
    """
    alone = settings.threads is None
    return seeded_generator(settings.chat, settings.seed, model, end, alone=alone)


def seeded_generator(
    chat: Chat, seed: int, model: Transformer, end: int, *, alone: bool = False
) -> Generate:
    """The generator of ``chat``, whose chance is its own and begins at ``seed``.

    ``alone``: see ``Reader``.
    """
    chance = torch.Generator().manual_seed(seed)
    strategy = GENERATORS[chat.generator](chat, chance)
    model.eval()

    def generate(prompt: Sequence[int]) -> Iterator[int]:
        start = list(prompt) or [end]
        reader = Reader(model, len(start) + chat.max_tokens, alone=alone)
        return strategy(reader, start, end=end, most=chat.max_tokens)

    return generate


def one_by_one(
    reader: Reader, prompt: Sequence[int], *, end: int, most: int, pick: Sampler
) -> Iterator[int]:
    """At most ``most`` ids, each picked from the logits that follow those before."""
    new = prompt
    for _ in range(most):
        token = pick(reader.read(torch.tensor([new]))[0])
        if token == end:
            return
        yield token
        new = [token]


def stream_text(ids: Iterator[int], codec: Codec, stop: str) -> Iterator[str]:
    """The text of ``ids`` in pieces as they come, up to the first ``stop``.

    What could be the beginning of ``stop`` is held back until it is clear; an empty
    ``stop`` stops nothing.
    """
    decoder = codec.stream_decoder()
    held = ""
    for token in ids:
        held += decoder.push(token)
        if stop and stop in held:
            yield held[: held.index(stop)]
            return
        clear = len(held) - overhang(held, stop)
        if clear:
            yield held[:clear]
            held = held[clear:]
    held += decoder.finish()
    yield held.partition(stop)[0] if stop else held


def overhang(text: str, stop: str) -> int:
    """How many last characters of ``text`` are first characters of ``stop``."""
    lengths = range(min(len(stop), len(text)), 0, -1)
    return next((n for n in lengths if stop.startswith(text[-n:])), 0)


Strategy = Callable[..., Iterator[int]]

GENERATORS: dict[str, Callable[[Chat, torch.Generator], Strategy]] = {
    "greedy": lambda *_: partial(one_by_one, pick=greedy()),
    "top_k": lambda chat, chance: partial(
        one_by_one, pick=top_k(chat.k, chat.temperature, chance)
    ),
    "top_p": lambda chat, chance: partial(
        one_by_one, pick=top_p(chat.p, chat.temperature, chance)
    ),
    "beamsearch": lambda chat, _: partial(
        beam_search, width=chat.width, boost=chat.boost
    ),
}
