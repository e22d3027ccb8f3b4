"""What is said where the tokenizers library breaks down on a text."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from slangmod.errors import DataError

LONGEST_REASON: Final = 300
"""Characters of what the library says that an error quotes."""


@contextmanager
def sound_use(place: str) -> Iterator[None]:
    """Turn what the library raises as it is used into a DataError that names ``place``.

    A pattern may need more steps than it allows: then it panics, which is no Exception.
    """
    try:
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
