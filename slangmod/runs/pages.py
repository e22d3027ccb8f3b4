"""Pages that draw runs in a browser: live, or with all their data inside.

Script and style are ours, in the folder ``web``; plotly.js, which draws, is the one in
the installed package plotly. Nothing on a page comes from the network, and what runs
say is escaped wherever it goes.
"""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from slangmod.settings.literals import printable

REFUSE_ALL = "default-src 'none'; base-uri 'none'; form-action 'none'"
DRAWN = "style-src 'self' 'unsafe-inline'; img-src data: blob:"
"""What plotly needs: it places its drawings with styles, and saves them as pictures."""

LIVE_POLICY = (
    f"{REFUSE_ALL}; script-src 'self'; connect-src 'self'; {DRAWN}; "
    "frame-ancestors 'none'"
)
"""The Content-Security-Policy that a live page is served with."""


def live_page(title: str) -> str:
    """A page that asks its server for data again and again."""
    return filled(
        title=as_html(title),
        status="",
        head='<link rel="stylesheet" href="page.css">',
        sections="",
        foot='<script src="page.js"></script>\n<script src="plotly.js"></script>',
    )


def closed_page(title: str, status: str, data: Any, sections: str) -> str:
    """A page that holds all it needs, and may load nothing.

    ``data``: as the page's script takes it. ``sections``: HTML that goes to the end.
    """
    scripts = [plotly_script(), web_file("page.js")]
    hashes = " ".join(map(hash_of, scripts))
    policy = f"{REFUSE_ALL}; script-src {hashes}; {DRAWN}"
    held = f'<script type="application/json" id="data">{script_json(data)}</script>'
    return filled(
        title=as_html(title),
        status=as_html(status),
        head=(
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            f"<style>\n{web_file('page.css')}</style>"
        ),
        sections=sections,
        foot="\n".join([held, *(f"<script>{script}</script>" for script in scripts)]),
    )


def as_html(text: str) -> str:
    """``text`` as HTML that means nothing but itself, without a control character.

    A page may be printed, too: ``compare --format html``.
    """
    return html.escape(printable(text))


def filled(**parts: str) -> str:
    """The page with its parts in place; parts are HTML."""
    pieces = web_file("page.html").split("{{")
    page = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        page += [parts[name], rest]
    return "".join(page)


def web_file(name: str) -> str:
    """One of our own files for the browser."""
    return resources.files("slangmod.runs").joinpath("web", name).read_text("utf-8")


def plotly_script() -> str:
    """The plotly.js of the installed package; it holds no end of a script element."""
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    return script


def hash_of(script: str) -> str:
    """The source expression of a policy that allows this very script."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def script_json(data: Any) -> str:
    """``data`` as JSON that cannot end the script element it stands in."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028")


def table(head: list[str], rows: Mapping[str, list[str]]) -> str:
    """An HTML table of plain texts: a row for each entry, its key first."""
    cells = "".join(f"<th>{as_html(text)}</th>" for text in head)
    lines = [f"<thead><tr>{cells}</tr></thead>"]
    for key, values in rows.items():
        cells = "".join(f"<td>{as_html(text)}</td>" for text in values)
        lines.append(f"<tr><th>{as_html(key)}</th>{cells}</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def card(title: str, content: str, note: str = "") -> str:
    """A section of HTML ``content`` under a title, with a note beside it."""
    caption = f"<h2>{as_html(title)}</h2>"
    if note:
        caption += f'<p class="note">{as_html(note)}</p>'
    return (
        f'<section class="card"><div class="caption">{caption}</div>{content}</section>'
    )
