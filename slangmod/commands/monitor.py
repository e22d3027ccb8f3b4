"""``slangmod monitor``: the curves of a run, again and again while it goes on."""

import logging
import re
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from slangmod.commands.call import Call
from slangmod.commands.choosing import named_runs, say
from slangmod.commands.drawing import Drawing
from slangmod.commands.existing import chosen_run
from slangmod.errors import UserError
from slangmod.runs.directory import RunDir
from slangmod.runs.live import page_server
from slangmod.runs.overview import RUNNING, Overview, overview
from slangmod.runs.series import last_row
from slangmod.runs.server import PageServer
from slangmod.runs.wording import short_count
from slangmod.settings.literals import printable
from slangmod.settings.sections import Plot

LOG = logging.getLogger(__name__)

WAYS = ("plot", "gnuplot", "web")
"""Flags that say where curves go, instead of onto the terminal."""

SECONDS_BETWEEN_LOOKS = 1.0
GIBI = 2**30
CLEAR, HOME, REST_OF_LINE, REST_OF_SCREEN = "\x1b[2J", "\x1b[H", "\x1b[K", "\x1b[J"
"""What a terminal takes as orders."""


def run(call: Call) -> None:
    """Draw until the run ends or Ctrl-C; once, where nobody watches."""
    ways = [name for name in WAYS if call.flags.get(name)]
    if len(ways) > 1:
        raise UserError(f"--{ways[0]} and --{ways[1]}: give one of them")
    port = port_of(call)
    runs = named_runs(call) or (chosen_run(call.settings),)
    drawing, plot = Drawing.of(runs), call.settings.plot
    if "plot" in ways:
        drawing.save(Path(str(call.flags["plot"])))
    elif "gnuplot" in ways:
        say(drawing.gnuplot())
    elif "web" in ways:
        serve(page_server(runs, plot, port))
    elif sys.stdout.isatty():
        watch(runs, drawing, plot)
    else:
        say(headlines(runs) + drawing.text(used_lines=len(runs) + 1))


def watch(runs: tuple[RunDir, ...], drawing: Drawing, plot: Plot) -> None:
    """Redraw in place until no run is at work any more."""
    say(CLEAR)
    try:
        while True:
            running = any(run.in_use() for run in runs)
            if not running or drawing.is_due(plot, time.monotonic()):
                picture = drawing.text(used_lines=len(runs) + 1)
                picture = picture.replace("\n", f"{REST_OF_LINE}\n") + REST_OF_SCREEN
            lines = headlines(runs).replace("\n", f"{REST_OF_LINE}\n")
            say(f"{HOME}{lines}{picture}")
            if not running:
                return
            time.sleep(SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        say("\n")


def serve(server: PageServer) -> None:
    """Say where the page is, and serve it until Ctrl-C."""
    with server:
        say(f"{server.url}\n")
        LOG.info("open it in a browser of this machine; Ctrl-C ends it")
        with suppress(KeyboardInterrupt):
            server.serve_forever()


def port_of(call: Call) -> int:
    """The port that the page is to be served on; 0: one that is free."""
    text = call.flags.get("port")
    if text is None:
        return 0
    if not call.flags.get("web"):
        raise UserError("--port: is that of --web; give both")
    if not re.fullmatch("[0-9]{1,5}", str(text)) or not 0 < int(str(text)) < 65536:
        raise UserError(f"--port {text}: a port is a whole number from 1 to 65535")
    return int(str(text))


def headlines(runs: tuple[RunDir, ...]) -> str:
    """A line about each run."""
    return "".join(f"{headline(overview(run), last_row(run.memory))}\n" for run in runs)


def headline(about: Overview, memory: Mapping[str, float]) -> str:
    """Name, state and newest numbers of a run in one line.

    ``memory``: the last row of memory.csv, empty where there is none.
    """
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
    for column, text in (
        ("resident_bytes", "memory {:.2f} GiB"),
        ("device_bytes", "on the GPU {:.2f} GiB"),
    ):
        if column in memory:
            parts.append(text.format(memory[column] / GIBI))
    return " | ".join(parts)


def state_in_words(about: Overview) -> str:
    """Its state, and of a run that ended by its own rules by which."""
    reason = about.summary.get("outcome", {}).get("reason")
    if about.state == RUNNING or reason in (None, about.state):
        return about.state
    return f"{about.state} ({printable(str(reason))})"
