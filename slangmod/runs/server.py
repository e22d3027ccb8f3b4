"""A server for one page, which only this machine can reach.

It knows a handful of addresses by heart: nothing in a request is ever taken for the
name of a file. A request that was not addressed to this machine by name is refused, so
that no page from elsewhere can read runs through a name that it makes point here.
"""

import logging
import socketserver
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from slangmod.errors import UserError

LOG = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
SECONDS_OF_SILENCE = 60
"""After which a connection is closed."""


@dataclass(frozen=True)
class Answer:
    """What an address holds: its type and a function of the query's ``have``."""

    kind: str
    content: Callable[[str], bytes]


class PageServer(socketserver.ThreadingTCPServer):
    """Answers at ``answers``, by path, under one Content-Security-Policy.

    ``port``: 0 takes one that is free. Raises UserError if it cannot be had.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, answers: Mapping[str, Answer], policy: str) -> None:
        try:
            super().__init__((LOOPBACK, port), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"--port {port}: cannot be used: {reason.lower()}; leave it out for "
                "one that is free"
            ) from None
        self.answers = answers
        self.port: int = self.server_address[1]
        self.names = {f"{name}:{self.port}" for name in (LOOPBACK, "localhost")}
        self.headers = {
            "Content-Security-Policy": policy,
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.port}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that hangs up is nothing to tell of, but to who looks for it."""
        del request, client_address
        LOG.debug("a browser was not answered", exc_info=True)


class Handler(BaseHTTPRequestHandler):
    """Answers one browser."""

    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "slangmod", ""
    timeout = SECONDS_OF_SILENCE

    def do_GET(self) -> None:
        """Answer, or say why not."""
        if self.headers.get("Host") not in self.server.names:
            self._send(403, "text/plain", b"not addressed to this machine\n")
            return
        address = urlsplit(self.path)
        answer = self.server.answers.get(address.path)
        if answer is None:
            self._send(404, "text/plain", b"there is no such page\n")
            return
        have = parse_qs(address.query).get("have", [""])[0]
        self._send(200, answer.kind, answer.content(have))

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
