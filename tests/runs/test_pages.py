import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from slangmod.runs.pages import closed_page, live_page, script_json, table, web_file

HOSTILE = "</script><!--<img src=x onerror=alert(1)>&\"'{{title}}\u2028"


class Parsed(HTMLParser):
    """The elements of a page, as a browser sees them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.scripts, self.links = [], [], []
        self.policy = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        about = dict(attrs)
        self.tags.append(tag)
        self.links += [about[key] for key in ("src", "href") if key in about]
        if about.get("http-equiv") == "Content-Security-Policy":
            self.policy = about["content"]
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self.tags.append(f"end of {tag}")

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script":
            self.scripts[-1] += data


@pytest.fixture(scope="module")
def page():
    return closed_page(HOSTILE, HOSTILE, {"text": HOSTILE}, table([HOSTILE], {}))


def test_a_closed_page_loads_nothing(page):
    parsed = Parsed(page)
    assert all(link.startswith("data:") for link in parsed.links)
    assert "default-src 'none'" in parsed.policy
    assert "connect-src" not in parsed.policy
    assert not re.search(r"@import|url\(", web_file("page.css"))


def test_a_closed_page_allows_its_own_scripts_and_no_others(page):
    data, *scripts = Parsed(page).scripts
    hashes = {
        f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'"
        for one in scripts
    }
    allowed = re.search(r"script-src ([^;]*);", Parsed(page).policy)[1]
    assert set(allowed.split()) == hashes
    assert len(hashes) == 2
    assert json.loads(data) == {"text": HOSTILE}


def test_what_runs_say_is_text_wherever_it_goes(page):
    for text in (page, live_page(HOSTILE)):
        assert "img" not in Parsed(text).tags
        assert "<title>&lt;/script&gt;" in text
    assert "{{title}}" in page  # what looks like a place to fill is left as it is


def test_json_in_a_script_can_end_nothing():
    text = script_json({"a": HOSTILE})
    assert "<" not in text
    assert json.loads(text) == {"a": HOSTILE}
    with pytest.raises(ValueError, match="JSON"):
        script_json(float("nan"))


def test_the_script_never_makes_markup_of_text():
    script = web_file("page.js")
    for way in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("):
        assert way not in script
