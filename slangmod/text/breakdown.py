"""What is said where the tokenizers library breaks down on a text."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

from slangmod.errors import DataError

LONGEST_REASON: Final = 300
"""Characters of what the library says that an error quotes."""

STANDARD_ERROR: Final = 2
"""The descriptor to which libraries write what they have to say."""


class Silence:
    """Leads standard error nowhere while any thread is inside, for libraries alone.

    It is the descriptor that is led away: ``sys.stderr`` of the program is another, so
    that what is said meanwhile, by any thread, is seen.
    """

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._inside = 0
        self._nowhere = self._before = -1

    def __enter__(self) -> Self:
        """Without a descriptor left, or standard error, all stays as it is."""
        with self._one_at_a_time:
            self._inside += 1
            if self._inside == 1:
                with suppress(OSError):
                    if self._nowhere < 0:
                        self._nowhere = os.open(os.devnull, os.O_WRONLY)
                    self._before = os.dup(STANDARD_ERROR)
                    os.dup2(self._nowhere, STANDARD_ERROR)
        return self

    def __exit__(self, *error: Any) -> None:
        """The last one to leave brings it back."""
        with self._one_at_a_time:
            self._inside -= 1
            if self._inside == 0 and self._before >= 0:
                os.dup2(self._before, STANDARD_ERROR)
                os.close(self._before)
                self._before = -1


SILENCE: Final = Silence()


@contextmanager
def sound_use(place: str) -> Iterator[None]:
    """Turn what the library raises as it is used into a DataError that names ``place``.

    A pattern may need more steps than it allows: then it panics, which is no Exception,
    and before that prints so, with its stack if RUST_BACKTRACE asks for one.
    """
    try:
        with SILENCE:
            yield
    except BaseException as error:
        if not of_library(error):
            raise
        reason = " ".join(str(error).split())[:LONGEST_REASON]
        raise DataError(
            f"{place}: breaks down on a text: {reason}; use another tokenizer"
        ) from None


def of_library(error: BaseException) -> bool:
    """Whether the library has raised ``error``: a panic, or an Exception without kind.

    >>> of_library(Exception("no such token")), of_library(KeyError("a"))
    (True, False)
    """
    kind = type(error)
    return kind is Exception or kind.__module__ == "pyo3_runtime"
