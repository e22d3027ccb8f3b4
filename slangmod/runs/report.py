"""Everything about some runs on one page that opens anywhere, without a network."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from slangmod import __version__
from slangmod.reading import read_limited
from slangmod.runs.comparison import NUMBERS, differing_keys, numbers_of, shown
from slangmod.runs.directory import RunDir
from slangmod.runs.groups import Group, differences, groups_of
from slangmod.runs.overview import Overview, flat, numbered, overview
from slangmod.runs.pages import as_html, card, closed_page, table
from slangmod.runs.points import Have, Points
from slangmod.runs.wording import operations, percent
from slangmod.settings.read import LARGEST
from slangmod.settings.sections import Plot

ORIGIN = re.compile(r"(.*\S)(\s+# .*)")
"""A line of config.toml: a setting, and where its value came from."""

MEBI = 2**20


def report_page(runs: tuple[RunDir, ...], plot: Plot, when: datetime) -> str:
    """The page about ``runs``, as HTML that holds all it needs."""
    abouts = [overview(run) for run in runs]
    title = ", ".join(run.name for run in runs)
    status = f"report of {when:%Y-%m-%d %H:%M}, slangmod {__version__}"
    news = [Points(run, plot.record_frequency).news(Have()) for run in runs]
    data = {"plot_frequency": plot.plot_frequency, "runs": news}
    sections = [
        differing(abouts),
        repeated(groups_of(abouts)),
        numbers(abouts),
        surroundings(abouts),
        card(
            "Settings",
            "".join(settings_of(run, is_open=len(runs) == 1) for run in runs),
            "each with where its value came from",
        ),
    ]
    return closed_page(title, status, data, "\n".join(sections))


def differing(runs: Sequence[Overview]) -> str:
    """The settings that are not the same in all runs."""
    if len(runs) == 1:
        return ""
    settings = [flat(numbered(run.settings)) for run in runs]
    keys = differing_keys(settings)
    if not keys:
        return card("What differs", '<p class="note">no setting</p>')
    rows = {key: [shown(one.get(key)) for one in settings] for key in keys}
    return card("What differs", table(["setting", *names(runs)], rows))


def repeated(groups: Sequence[Group]) -> str:
    """Means and spreads, where runs differ in their seeds alone."""
    if all(len(group.runs) == 1 for group in groups):
        return ""
    rows = {
        group.name: [
            str(len(group.values)),
            shown(group.mean),
            shown(group.spread),
            "" if group.ended else "not all have ended",
        ]
        for group in groups
    }
    head = ["best test loss", "runs", "mean", "spread", ""]
    sentences = "".join(
        f'<p class="note">{as_html(one.sentence())}</p>' for one in differences(groups)
    )
    note = "runs that differ in their seeds alone; spread: sample standard deviation"
    return card("Repeated runs", table(head, rows) + sentences, note)


def numbers(runs: Sequence[Overview]) -> str:
    """How training ended, how good it is and what it cost."""
    found = [numbers_of(run) for run in runs]
    parts = []
    for part in dict.fromkeys(part for part, _ in NUMBERS):
        rows = {
            in_words(key): [spelled(key, one[f"{part}.{key}"]) for one in found]
            for of, key in NUMBERS
            if of == part and any(one[f"{part}.{key}"] is not None for one in found)
        }
        if rows:
            parts.append(table([part, *names(runs)], rows))
    parts += [f'<p class="note">{as_html(line)}</p>' for line in speeds(runs)]
    return card("Numbers", "".join(parts)) if parts else ""


def speeds(runs: Sequence[Overview]) -> Iterator[str]:
    """What the MFU of each run is a share of, and what held the run up, if anything."""
    for run in runs:
        cost = run.summary.get("cost", {})
        known = [cost.get(key) for key in ("flops_per_token", "peak_flops")]
        if all(isinstance(one, int | float) for one in known):
            token, peak = map(operations, known)
            source = cost.get("peak_source")
            yield f"{run.name}: MFU is {token} a token, of {peak}/s ({source})"
        if "verdict" in cost:
            yield f"{run.name}: {cost['verdict']}"


def surroundings(runs: Sequence[Overview]) -> str:
    """On what machine, and with which versions."""
    found = [run.summary.get("environment", {}) for run in runs]
    keys = dict.fromkeys(key for one in found for key in one)
    rows = {in_words(key): [shown(one.get(key)) for one in found] for key in keys}
    return card("Environment", table(["", *names(runs)], rows)) if rows else ""


def settings_of(run: RunDir, *, is_open: bool) -> str:
    """config.toml, which says where each value came from."""
    try:
        content = read_limited(run.config, LARGEST)
    except (OSError, ValueError):
        return ""
    lines = content.decode("utf-8", "replace").splitlines()
    text = "\n".join(map(with_origin, lines))
    opened, name = " open" * is_open, as_html(run.name)
    return f"<details{opened}><summary>{name}</summary><pre>{text}</pre></details>"


def with_origin(line: str) -> str:
    """One line of config.toml as HTML."""
    match = ORIGIN.fullmatch(line)
    if match is None:
        return as_html(line)
    setting, origin = map(as_html, match.groups())
    return f'{setting}<span class="origin">{origin}</span>'


def names(runs: Sequence[Overview]) -> list[str]:
    """What the runs are called."""
    return [run.name for run in runs]


def in_words(key: str) -> str:
    """A key as a person reads it."""
    return key.removesuffix("_bytes").replace("_", " ")


def spelled(key: str, value: object) -> str:
    """A number with its unit, where its key names one."""
    if key.endswith("_bytes") and isinstance(value, int):
        return f"{value / MEBI:,.0f} MiB"
    if key == "mfu" and isinstance(value, float):
        return percent(value)
    if isinstance(value, float) and value >= 1000:
        return f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else shown(value)
