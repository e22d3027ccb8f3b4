"""Texts become ids in several processes, and come back in their order.

What a text becomes depends on it and the tokenizer alone, so the result is the same for
any number of processes. They end with the one that started them, however that ends.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from slangmod.parallel.workers import pool_of
from slangmod.text.tokenizer import Codec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ids = list[NDArray[np.unsignedinteger]]

ALONE: Final = 32
"""Batches that are encoded before it pays to start other processes."""
AHEAD: Final = 3
"""Batches that another process has at a time, so that it never waits for us."""
MOST: Final = 32
"""Batches for each process that wait for an earlier one, at most."""


def encoded_together(
    batches: Iterable[Sequence[str]], codec: Codec, processes: int
) -> Iterator["Ids"]:
    """The ids of the texts of each batch, in order.

    Raises RunError if one of the processes dies.
    """
    batches = iter(batches)
    alone = islice(batches, ALONE) if processes > 1 else batches
    yield from map(codec.encode_batch, alone)
    first = next(batches, None)
    if first is not None:
        yield from _with_others(chain([first], batches), codec, processes)


def _with_others(
    batches: Iterable[Sequence[str]], codec: Codec, processes: int
) -> Iterator["Ids"]:
    """This process encodes what the others, busy or just starting, cannot take."""
    others = processes - 1
    waiting: deque[Future[Ids]] = deque()
    with pool_of(others, _begin, (codec.to_json(), codec.eos_string)) as pool:
        for texts in batches:
            if sum(not one.done() for one in waiting) < AHEAD * others:
                waiting.append(pool.submit(_encode, texts))
            else:
                waiting.append(Future())
                waiting[-1].set_result(codec.encode_batch(texts))
            while waiting and (waiting[0].done() or len(waiting) > MOST * processes):
                yield waiting.popleft().result()
        for ids in waiting:
            yield ids.result()


_codecs: list[Codec] = []
"""The tokenizer of a process that encodes for another; empty in any other."""


def _begin(content: str, eos_string: str) -> None:
    """What such a process does first."""
    _codecs.append(Codec.from_json(content, eos_string))


def _encode(texts: Sequence[str]) -> "Ids":
    return _codecs[0].encode_batch(texts)
