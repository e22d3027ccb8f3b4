"""``slangmod sweep show`` and ``slangmod sweep plot``: what came of a sweep."""

import json
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from slangmod.commands.call import Call
from slangmod.commands.choosing import say
from slangmod.commands.sweep import need_libraries
from slangmod.errors import DataError, UserError
from slangmod.runs.directory import RunDir

if TYPE_CHECKING:
    from slangmod.commands.sweep_report import Report


def run(call: Call) -> None:
    """Print the trials of a sweep, or draw its pictures anew."""
    need_libraries(call.settings)
    from slangmod.commands.sweep_folder import refuse_ways_out
    from slangmod.commands.sweep_report import draw, read_report

    folder = RunDir.of(call.settings.workdir, named(call)).root
    report = read_report(folder)
    if call.action == "sweep plot":
        refuse_ways_out(folder)
        drawn = draw(folder, report)
        if not drawn:
            raise DataError(f"{folder}: there is nothing that could be drawn")
        say("".join(f"{picture}\n" for picture in drawn))
    elif call.flags.get("json"):
        say(json.dumps(report.table(), indent=2) + "\n")
    else:
        say_table(report, most(call))


def named(call: Call) -> str:
    """The one sweep that is asked for. Raises UserError."""
    names = (*call.words, *call.names)
    if len(names) != 1:
        raise UserError(f"{call.action}: name one sweep")
    return names[0]


def most(call: Call) -> int:
    """How many trials ``--top`` asks for; all without. Raises UserError."""
    text = str(call.flags.get("top") or "")
    if not text:
        return -1
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"--top {text}: must be a whole number, at least 1")
    return int(text)


def say_table(report: "Report", top: int) -> None:
    """Print the best ``top`` trials of a sweep, all where it is negative."""
    from slangmod.commands.sweep_words import best_first, table

    records = best_first(report.trials, report.direction)
    some = records if top < 0 else records[:top]
    width = get_terminal_size((80, 24)).columns
    say(table(some, list(report.space), report.metric, width))
    if left := len(records) - len(some):
        say(f"and {left} more: slangmod sweep show {report.name}\n")
