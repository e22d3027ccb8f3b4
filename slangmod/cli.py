"""The command line: arguments in, exit code out.

Exit codes: 0 done, 1 failure while running, 2 error of the user, 3 the run is in use,
75 stopped by a signal with a checkpoint saved, 130 stopped by Ctrl-C.
"""

import errno
import gc
import logging
import os
import re
import select
import signal
import sys
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, TextIO

from slangmod import __version__
from slangmod.commands import COMMANDS, help
from slangmod.commands.arguments import Arguments, parse
from slangmod.commands.interruption import (
    AtEnd,
    begin_anew,
    broken_off_by_signals,
    ended_by_signals,
)
from slangmod.commands.postponing import BrokenOffError, in_words
from slangmod.commands.streams import keep_streams, leave
from slangmod.commands.together import alone, launch_in, to_say
from slangmod.errors import (
    NEEDS_LESS,
    USES_LESS,
    SlangmodError,
    UserError,
    is_out_of_memory,
)
from slangmod.libraries import prepare

if TYPE_CHECKING:
    from slangmod.commands.call import Call

LONGEST = 500
"""Characters of an unexpected error that are shown without ``--debug``."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors that say that there is no room left on a disk, or none for this user."""

_ASIDE = re.compile(r"\.aside-[0-9a-f]{32}-")
"""What stands before the name of a file that is still being written."""


def entry_point() -> None:
    """The command ``slangmod``."""
    at_end = AtEnd()
    keep_streams()
    at_end.code = main(at_end=at_end)
    leave(at_end.code, among_others=launch_in(os.environ) is not None)


def main(argv: Sequence[str] | None = None, at_end: AtEnd | None = None) -> int:
    """Run the command line ``argv``, without the program's name; -> exit code.

    Whoever ends the program with that gives what handles signals ``at_end``.
    """
    arguments = parse(sys.argv[1:] if argv is None else argv)
    try:
        with broken_off_by_signals(afterwards=at_end):
            code = run(arguments)
            sys.stdout.flush()
    except (KeyboardInterrupt, BrokenOffError) as error:
        number = getattr(error, "number", signal.SIGINT)
        launch = launch_in(os.environ)
        if launch is None or launch.leads:
            say_error(in_words(number))
        return 128 + int(number)
    except SystemExit:
        raise
    # Not only Exception: the tokenizers library panics with a BaseException.
    except BaseException as error:
        if isinstance(error, BrokenPipeError) and nobody_reads():
            return 0
        if "debug" in arguments.switches:
            say_where(error)
        return tell(error, arguments.actions)
    return code


def say_where(error: BaseException) -> None:
    """Print the stack of ``error``; what it quotes of files stays harmless."""
    import traceback

    from slangmod.settings.literals import printable

    lines = "".join(traceback.format_exception(error)).splitlines()
    sys.stderr.writelines(f"{printable(line)}\n" for line in lines)


def run(arguments: Arguments) -> int:
    """Help, version, or one action after the other until one does not succeed."""
    if "version" in arguments.switches:
        sys.stdout.write(f"slangmod {__version__}\n")
        return 0
    if "help" in arguments.switches:
        return show_help(arguments)
    if not arguments.actions and not arguments.problems:
        sys.stderr.write(help.overview())
        return UserError.exit_code

    prepare(os.environ)
    from slangmod.commands.busy import refuse_busy_run
    from slangmod.commands.calls import calls
    from slangmod.search.leash import put_on

    put_on(os.environ)
    planned = calls(arguments, os.environ)
    for call in planned:
        refuse_busy_run(call)
    for number, call in enumerate(planned):
        speaks = call.launch is None or call.launch.leads
        set_up_logging(call.settings.log_level, quiet=not speaks)
        if code := act(call, number):
            return int(code)
    return 0


def act(call: "Call", number: int) -> int | None:
    """Do action ``number``; of several processes the leader alone, or all together."""
    command = COMMANDS[call.action]
    begin_anew()
    with ended_by_signals():
        module = import_module(command.module)
    collect_garbage()
    if call.launch is None or command.together:
        code: int | None = module.run(call)
        return code
    from slangmod.settings.derived import seconds_of

    timeout = seconds_of(call.settings.parallel.timeout)
    return alone(call.launch, number, lambda: module.run(call), timeout)


def collect_garbage() -> None:
    """Begin with that, if it waits for the program to be loaded; what is, stays."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def show_help(arguments: Arguments) -> int:
    """What help is asked for, on standard output."""
    if arguments.actions:
        texts = [help.of_action(action) for action in arguments.actions]
    elif arguments.family:
        texts = [help.of_family(arguments.family)]
    elif arguments.problems:
        raise UserError(*arguments.problems)
    else:
        texts = [help.overview()]
    sys.stdout.write("\n".join(texts))
    return 0


def set_up_logging(log_level: str | int, *, quiet: bool = False) -> None:
    """Send what slangmod logs to standard error, in lines that are safe to show.

    ``quiet``: nothing but warnings is shown, whatever level is set later.
    """
    from slangmod.settings.levels import level_of

    logger = logging.getLogger("slangmod")
    for old in [one for one in logger.handlers if isinstance(one, Terminal)]:
        logger.removeHandler(old)
    terminal = Terminal(sys.stderr)
    terminal.setLevel(logging.WARNING if quiet else logging.NOTSET)
    logger.addHandler(terminal)
    logger.setLevel(level_of(log_level))


class Terminal(logging.StreamHandler[TextIO]):
    """Lines for a person: the time, the level where it matters, the message."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, without characters that a terminal might obey."""
        from slangmod.settings.literals import printable

        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = f"{record.levelname.lower()}: " * (record.levelno > logging.INFO)
        return f"{clock} {level}{printable(record.getMessage())}"


def tell(error: BaseException, actions: Collection[str] = ()) -> int:
    """Say in lines on standard error what went wrong; -> exit code."""
    launch, lines = launch_in(os.environ), lines_of(error, actions)
    say_error(*(lines if launch is None else to_say(error, lines, launch)))
    return error.exit_code if isinstance(error, SlangmodError) else 1


def say_error(*lines: str) -> None:
    """Write lines to standard error that are safe to show."""
    from slangmod.settings.literals import printable

    with suppress(OSError):  # of a standard error that nobody reads
        for line in lines:
            sys.stderr.write(f"slangmod: error: {printable(line)}\n")


def lines_of(error: BaseException, actions: Collection[str] = ()) -> list[str]:
    """What went wrong in ``actions``, a line for each problem.

    Whatever the names of files hold: who shows them escapes it.
    """
    if isinstance(error, UserError):
        return list(error.problems)
    if isinstance(error, SlangmodError):
        return [str(error) or type(error).__name__]
    text = " ".join(str(error).split())[:LONGEST]
    if is_out_of_memory(error):
        hint = USES_LESS if {*actions} & {"generate", "chat"} else NEEDS_LESS
        return ["; ".join(filter(None, ["out of memory", hint, text]))]
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror[:1].lower() + error.strerror[1:]
        place = _ASIDE.sub("", str(error.filename or ""))
        way = "; make room, and run it again" if error.errno in FULL else ""
        return [(f"{place}: {reason}" if place else reason) + way]
    hint = "run it again with --debug to see where it came from"
    return [f"unexpected {type(error).__name__}: {text}; {hint}"]


def nobody_reads() -> bool:
    """Whether standard output is closed at its other end; if so it is silenced."""
    watch = select.poll()
    try:
        watch.register(sys.stdout.fileno(), 0)
    except OSError:  # it is no file
        return False
    if not any(event & select.POLLERR for _, event in watch.poll(0)):
        return False
    # What is still buffered would raise once more when the interpreter ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
