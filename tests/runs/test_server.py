import http.client
import socket
import threading

import pytest

from slangmod.errors import UserError
from slangmod.runs.server import Answer, PageServer

POLICY = "default-src 'none'"


@pytest.fixture
def server():
    answers = {
        "/": Answer("text/html", lambda _: b"page"),
        "/data": Answer("application/json", lambda have: f'"{have}"'.encode()),
        "/broken": Answer("text/html", lambda _: [][0]),
    }
    with PageServer(0, answers, POLICY) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def asked(server, path, host=None, method="GET"):
    """Status, headers and content."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    headers = {"Host": host} if host else {}
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, response.headers, content


def test_it_can_be_reached_from_this_machine_only(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.port}/"


def test_known_addresses_are_answered_with_strict_headers(server):
    status, headers, content = asked(server, "/")
    assert (status, content) == (200, b"page")
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Python" not in headers["Server"]
    assert "Access-Control-Allow-Origin" not in headers


def test_a_query_says_what_a_page_has(server):
    assert asked(server, "/data?have=a%3A1%2Cb&x=1")[2] == b'"a:1,b"'
    assert asked(server, "/data")[2] == b'""'


@pytest.mark.parametrize(
    "path",
    [
        "/page",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/data/../config.toml",
        "/data%00",
        "/etc/passwd",
    ],
)
def test_everything_else_is_not_there(server, path):
    status, headers, content = asked(server, path)
    assert (status, content) == (404, b"there is no such page\n")
    assert headers["Content-Security-Policy"] == POLICY


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{}", "127.0.0.1", "127.0.0.1:1", "127.0.0.2:{}"],
)
@pytest.mark.parametrize("path", ["/", "/data"])
def test_a_request_addressed_to_another_name_is_refused(server, host, path):
    status, _, content = asked(server, path, host.format(server.port))
    assert (status, content) == (403, b"not addressed to this machine\n")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_this_machine_may_be_called_by_both_its_names(server, name):
    assert asked(server, "/", f"{name}:{server.port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_nothing_can_be_asked_for_but_pages(server, method):
    assert asked(server, "/", method=method)[0] == 501


@pytest.mark.parametrize(
    "request_line", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]
)
def test_a_request_without_a_host_or_sense_is_refused(server, request_line):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as stream:
        stream.sendall(request_line)
        assert stream.recv(1000).split()[1:2] != [b"200"]


def test_an_answer_that_fails_does_not_end_the_server(server, capfd):
    with pytest.raises(http.client.RemoteDisconnected):
        asked(server, "/broken")
    assert asked(server, "/")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_port_in_use_is_an_error_with_a_way_out(server):
    with pytest.raises(UserError, match=f"--port {server.port}: .*leave it out"):
        PageServer(server.port, {}, POLICY)
