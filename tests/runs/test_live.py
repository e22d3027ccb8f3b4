import json
import threading
import urllib.request

import pytest

from slangmod.runs.live import answer, have_of, page_server
from slangmod.runs.points import Have, Points
from slangmod.settings.sections import Plot


@pytest.fixture
def fetch(make_run):
    with page_server((make_run("first"), make_run("second")), Plot(), 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def get(path):
            with urllib.request.urlopen(f"{server.url}{path}", timeout=10) as response:
                return response.headers, response.read().decode()

        yield get
        server.shutdown()
        thread.join()


def test_the_page_loads_its_own_script_and_style_and_nothing_else(fetch):
    headers, page = fetch("")
    assert '<script src="page.js">' in page
    assert "{{" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "connect-src 'self';" in policy


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("page.js", "text/javascript", "Plotly.react"),
        ("page.css", "text/css", "prefers-color-scheme: dark"),
        ("plotly.js", "text/javascript", "plotly.js v"),
    ],
)
def test_script_and_style_are_served(fetch, path, kind, words):
    headers, content = fetch(path)
    assert headers.get_content_type() == kind
    assert words in content


def test_data_are_those_of_all_runs(fetch):
    data = json.loads(fetch("data?have=")[1])
    assert [run["name"] for run in data["runs"]] == ["first", "second"]
    assert data["plot_frequency"] == 50
    assert [len(run["points"]["step"]) for run in data["runs"]] == [60, 60]


def test_a_page_that_has_one_run_is_told_the_other(make_run):
    points = tuple(Points(make_run(name), 20) for name in ("first", "second"))
    version = points[0].news(Have())["version"]
    told = json.loads(answer(points, Plot(), f"{version}:58:6:0,"))
    assert [len(run["points"]["step"]) for run in told["runs"]] == [2, 60]


@pytest.mark.parametrize(
    "text", ["", ":", "a:1:2", "a:1:2:x", "a:-1:2:3", "a:1.5:2:3", "a:²:2:3", "../etc"]
)
def test_what_cannot_be_understood_counts_as_nothing(text):
    assert have_of(text) == Have()
    assert have_of("3.20:1:2:3") == Have("3.20", 1, 2, 3)
