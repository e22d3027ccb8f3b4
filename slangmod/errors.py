"""What can go wrong, by whose doing: each kind of error carries its exit code."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

NEEDS_LESS: Final = (
    "a smaller train.batch_size with a larger train.step_freq, "
    "train.activation_checkpointing, a shorter data.seq_len or a smaller model.dim "
    "needs less"
)
"""What to do where memory does not suffice."""


USES_LESS: Final = (
    "a smaller chat.max_tokens, a smaller chat.width of a beam, or a machine with more "
    "memory helps"
)
"""What to do where it does not suffice for an action that makes text."""


class SlangmodError(Exception):
    """Something failed while running: disk, memory, a diverged loss (exit code 1)."""

    exit_code = 1


class UserError(SlangmodError):
    """Arguments, settings or data are wrong; nothing has been written (exit code 2).

    ``problems`` are whole lines, each with its place and the way out; the command
    line prints every one of them.
    """

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems


class SettingsError(UserError):
    """One or more settings are unknown, of the wrong type or impossible."""


class DataError(UserError):
    """Documents, corpus, tokenizer or encodings are missing, broken or stale."""


class RunError(SlangmodError):
    """A run cannot go on, or cannot be continued (exit code 1)."""


class LostError(RunError):
    """Another process of the run has failed, or is gone (exit code 1)."""


class RunBusyError(SlangmodError):
    """Another process holds the run folder (exit code 3)."""

    exit_code = 3


class StoppedError(SlangmodError):
    """A signal ended the run after a checkpoint was saved; ``resume`` continues.

    ``exit_code`` is 75 for SIGTERM, SIGUSR1 and SIGHUP, 130 for Ctrl-C, and 128 plus
    the signal's number where it came before there was a checkpoint.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def one_of(words: Iterable[str]) -> str:
    """The way out of a wrong word, ``choose one of a, b, c``."""
    return "choose one of " + ", ".join(sorted(words))


_TOO_MUCH = (
    "can't allocate memory",
    "Storage size calculation overflowed",  # torch
    "array is too big",  # numpy
)
"""What libraries say when no memory is enough."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, torch or a device had no memory left (torch stays unloaded)."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if not kinds.isdisjoint({"MemoryError", "OutOfMemoryError"}):
        return True
    wanted = any(sign in str(error) for sign in _TOO_MUCH)
    return isinstance(error, RuntimeError | ValueError) and wanted


def name_place(error: BaseException, path: Path) -> None:
    """Have ``error`` say that it is about ``path``, where the system names nothing."""
    if isinstance(error, OSError) and error.errno is not None:
        error.filename = error.filename or str(path)
