"""Texts become ids in several processes, and come back in their order.

What a text becomes depends on it and the tokenizer alone, so the result is the same for
any number of processes. They end with the one that started them, however that ends.

Texts and ids go to and fro in memory that both sides see. Through pipes, which hold
little, each side would wait for the other again and again.
"""

import errno
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing.heap import Arena
from typing import TYPE_CHECKING, Any, Final, Self

from slangmod.parallel.workers import pool_of
from slangmod.text.tokenizer import Codec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ids = list[NDArray[np.unsignedinteger]]

LOG = logging.getLogger(__name__)

ALONE: Final = 32
"""Batches that are encoded before it pays to start other processes."""
MOST_OTHERS: Final = 31
"""Processes besides this one, which could not serve many more of them."""
TOGETHER: Final = 4
"""Batches that go to another process at a time: we encode, too, and may be busy for the
time of one before we see that it has nothing left to do."""
AHEAD: Final = 3
"""How many times so many it has, so that it never waits for us."""
MOST: Final = 32
"""Parts of the result for each process that wait for an earlier one, at most."""
ROOM: Final = 1 << 21
"""Bytes of texts that can be handed over at a time, or of their ids."""
UNKNOWN: Final = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What a disk answers that cannot set room aside, however much there is."""


class Encoders:
    """This process, and others that encode beside it once that pays, for one block.

    They raise RunError if one of them dies.
    """

    def __init__(self, codec: Codec, processes: int) -> None:
        self._codec, self._others = codec, min(processes - 1, MOST_OTHERS)
        self._alone = ALONE
        self._pool: ProcessPoolExecutor | None = None
        self._stack = ExitStack()
        self._memory: Any = None

    def __enter__(self) -> Self:
        """Nothing is started yet."""
        return self

    def __exit__(self, *error: Any) -> bool | None:
        """The others end."""
        return self._stack.__exit__(*error)

    def ids(self, batches: Iterable[Sequence[str]]) -> Iterator["Ids"]:
        """The ids of the texts of each batch, in order."""
        batches = iter(batches)
        while not self._others or self._alone > 0:
            if (texts := next(batches, None)) is None:
                return
            self._alone -= 1
            yield self._codec.encode_batch(texts)
        first = next(batches, None)
        if first is not None:
            self._make_room()
            batches = chain([first], batches)
            if self._others:
                yield from self._together(batches, self._started())
            else:
                yield from map(self._codec.encode_batch, batches)

    def _make_room(self) -> None:
        """Get memory to share, for fewer others where it is short."""
        refused: OSError | None = None
        while self._memory is None and self._others:
            try:
                self._memory = memory_of(ROOM * AHEAD * self._others)
            except OSError as error:
                refused, self._others = error, self._others // 2
        if refused is not None:
            LOG.warning(
                "encode: %s: too little memory to share (/dev/shm), so no "
                "more than %d encode at a time; the ids are the same",
                *(refused.strerror, self._others + 1),
            )

    def _started(self) -> ProcessPoolExecutor:
        """The others, who are waited for by nobody."""
        if self._pool is None:
            start = (self._codec.to_json(), self._codec.eos_string, ROOM, self._memory)
            pool = pool_of(self._others, _begin, start)
            self._pool = self._stack.enter_context(pool)
        return self._pool

    def _together(
        self, batches: Iterator[Sequence[str]], pool: ProcessPoolExecutor
    ) -> Iterator["Ids"]:
        """This process encodes what the others, busy or just starting, cannot take."""
        codec, rooms = self._codec, rooms_in(self._memory.buffer, ROOM)
        most = MOST * (self._others + 1)
        free, waiting = deque(range(len(rooms))), deque[Part]()
        try:
            while some := [*islice(batches, TOGETHER if free else 1)]:
                handed = _handed_over(some, rooms, free, pool) if free else None
                waiting.append(handed or Part([*map(codec.encode_batch, some)]))
                while waiting and (waiting[0].done() or len(waiting) > most):
                    yield from waiting.popleft().taken(codec.dtype, rooms, free)
            while waiting:
                yield from waiting.popleft().taken(codec.dtype, rooms, free)
        finally:  # nobody writes into a room any more that others will have
            wait([one.coming for one in waiting if one.coming is not None])


def memory_of(size: int) -> Arena:
    """Memory of ``size`` bytes that other processes are to see, all of it there.

    Were it only promised, a write that finds the disk in memory full would end the
    process. Raises OSError where it is full now.
    """
    arena = Arena(size)
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(arena.fd, 0, size)
        except OSError as error:
            if error.errno not in UNKNOWN:
                raise
    return arena


def rooms_in(memory: Any, size: int) -> list[memoryview]:
    """Equal parts of ``memory``, of ``size`` bytes each."""
    whole = memoryview(memory).cast("B")
    return [whole[at : at + size] for at in range(0, len(whole), size)]


@dataclass(frozen=True)
class Part:
    """Ids of some batches, here or still to come."""

    here: "Sequence[Ids]" = ()
    coming: "Future[list[list[int]] | list[Ids]] | None" = None
    """bytes of the ids of each text, which are in a room; where there are too many to
    fit into it, ids themselves"""
    room: int = -1

    def done(self) -> bool:
        """Whether nobody would have to wait for them."""
        return self.coming is None or self.coming.done()

    def taken(
        self, dtype: str, rooms: Sequence[memoryview], free: deque[int]
    ) -> "Iterator[Ids]":
        """The ids; their room is free from then on."""
        import numpy as np

        if self.coming is None:
            yield from self.here
            return
        found, begin = self.coming.result(), 0
        content = rooms[self.room]
        for batch in found:
            ids: Ids = []
            for one in batch:
                if isinstance(one, int):
                    end = begin + one
                    ids.append(np.frombuffer(bytes(content[begin:end]), dtype))
                    begin = end
                else:
                    ids.append(one)
            yield ids
        free.append(self.room)


def _handed_over(
    batches: Sequence[Sequence[str]],
    rooms: Sequence[memoryview],
    free: deque[int],
    pool: ProcessPoolExecutor,
) -> Part | None:
    """What another process will make of ``batches``; None where they are too large."""
    texts = [[text.encode("utf-8", "surrogatepass") for text in b] for b in batches]
    joined = b"".join(text for batch in texts for text in batch)
    if len(joined) > len(rooms[0]):
        return None
    room = free.popleft()
    rooms[room][: len(joined)] = joined
    sizes = [[len(text) for text in batch] for batch in texts]
    return Part((), pool.submit(_encode, room, sizes), room)


_codecs: list[Codec] = []
"""The tokenizer of a process that encodes for another; empty in any other."""
_rooms: list[memoryview] = []
"""What it reads texts from, and writes ids to."""


def _begin(content: str, eos_string: str, size: int, memory: Any) -> None:
    """What such a process does first."""
    _codecs.append(Codec.from_json(content, eos_string))
    _rooms.extend(rooms_in(memory.buffer, size))


def _encode(room: int, sizes: Sequence[Sequence[int]]) -> "list[list[int]] | list[Ids]":
    """Encode the texts in a room, of which the ``sizes`` in bytes are known."""
    content, begin = _rooms[room], 0
    batches = []
    for batch in sizes:
        texts = []
        for size in batch:
            end = begin + size
            texts.append(str(content[begin:end], "utf-8", "surrogatepass"))
            begin = end
        batches.append(texts)
    ids = [_codecs[0].encode_batch(texts) for texts in batches]
    joined = b"".join(one.tobytes() for batch in ids for one in batch)
    if len(joined) > len(content):
        return ids
    content[: len(joined)] = joined
    return [[one.nbytes for one in batch] for batch in ids]
