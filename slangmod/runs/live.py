"""Runs on a page that keeps itself up to date."""

import json
from functools import partial

from slangmod.runs.directory import RunDir
from slangmod.runs.pages import LIVE_POLICY, live_page, plotly_script, web_file
from slangmod.runs.points import Have, Points
from slangmod.runs.server import Answer, PageServer
from slangmod.settings.sections import Plot


def page_server(runs: tuple[RunDir, ...], plot: Plot, port: int) -> PageServer:
    """A server, not at work yet, of a page that draws ``runs`` over each other."""
    points = tuple(Points(run, plot.record_frequency) for run in runs)
    title = ", ".join(run.name for run in runs)
    library = plotly_script().encode()  # now, so that no browser waits for it
    answers = {
        "/": Answer("text/html", lambda _: live_page(title).encode()),
        "/page.css": Answer("text/css", lambda _: web_file("page.css").encode()),
        "/page.js": Answer("text/javascript", lambda _: web_file("page.js").encode()),
        "/plotly.js": Answer("text/javascript", lambda _: library),
        "/data": Answer("application/json", partial(answer, points, plot)),
    }
    return PageServer(port, answers, LIVE_POLICY)


def answer(points: tuple[Points, ...], plot: Plot, have: str) -> bytes:
    """What a page does not have yet, which says by ``have`` what it has."""
    known = [*map(have_of, have.split(",")), *[Have()] * len(points)]
    news = [one.news(has) for one, has in zip(points, known, strict=False)]
    content = {"plot_frequency": plot.plot_frequency, "runs": news}
    return json.dumps(content, allow_nan=False).encode()


def have_of(text: str) -> Have:
    """``VERSION:POINTS:TESTS:SAMPLES`` taken apart; nothing, where it is not that."""
    version, *counts = text.split(":")
    if len(counts) != 3 or not all(one.isascii() and one.isdigit() for one in counts):
        return Have()
    points, tests, samples = (int(one[:12]) for one in counts)
    return Have(version, points, tests, samples)
