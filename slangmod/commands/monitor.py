"""``slangmod monitor``: the curves of a run, again and again while it goes on."""

import sys
import time
from pathlib import Path

from slangmod.commands.call import Call
from slangmod.commands.choosing import named_runs, say
from slangmod.commands.drawing import Drawing
from slangmod.commands.existing import chosen_run
from slangmod.runs.directory import RunDir
from slangmod.runs.overview import RUNNING, Overview, overview
from slangmod.runs.wording import short_count
from slangmod.settings.literals import printable

SECONDS_BETWEEN_LOOKS = 1.0
CLEAR, HOME, REST_OF_LINE, REST_OF_SCREEN = "\x1b[2J", "\x1b[H", "\x1b[K", "\x1b[J"
"""What a terminal takes as orders."""


def run(call: Call) -> None:
    """Draw until the run ends or Ctrl-C; once, where nobody watches."""
    runs = named_runs(call) or (chosen_run(call.settings),)
    drawing = Drawing.of(runs)
    plot = call.flags.get("plot")
    if plot:
        drawing.save(Path(str(plot)))
    elif sys.stdout.isatty():
        watch(runs, drawing)
    else:
        say(page(runs, drawing))


def watch(runs: tuple[RunDir, ...], drawing: Drawing) -> None:
    """Redraw in place until no run is at work any more."""
    say(CLEAR)
    try:
        while True:
            running = any(run.in_use() for run in runs)
            text = page(runs, drawing).replace("\n", f"{REST_OF_LINE}\n")
            say(f"{HOME}{text}{REST_OF_SCREEN}")
            if not running:
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        say("\n")


def page(runs: tuple[RunDir, ...], drawing: Drawing) -> str:
    """A line about each run, and their curves."""
    lines = "".join(f"{headline(overview(run))}\n" for run in runs)
    return lines + drawing.text(used_lines=len(runs) + 1)


def headline(about: Overview) -> str:
    """Name, state and newest numbers of a run in one line."""
    row = about.progress
    parts = [about.name, state_in_words(about)]
    for column, text in (
        ("stage", "stage {}"),
        ("epoch", "epoch {}"),
        ("step", "step {}"),
        ("loss", "loss {:.4f}"),
        ("test_loss", "test {:.4f}"),
        ("learning_rate", "lr {:.2e}"),
    ):
        if column in row:
            parts.append(text.format(row[column]))
    if "tokens_per_second" in row:
        parts.append(f"{short_count(row['tokens_per_second'])} tokens/s")
    return " | ".join(parts)


def state_in_words(about: Overview) -> str:
    """Its state, and of a run that ended by its own rules by which."""
    reason = about.summary.get("outcome", {}).get("reason")
    if about.state == RUNNING or reason in (None, about.state):
        return about.state
    return f"{about.state} ({printable(str(reason))})"
