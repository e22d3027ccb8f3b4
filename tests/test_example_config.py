"""The example file is up to date and changes nothing."""

import json
import re
from pathlib import Path

from slangmod.settings import load_settings
from slangmod.settings.catalog import catalog
from slangmod.settings.example import example
from slangmod.settings.schema import json_schema

FILE = Path(__file__).parent.parent / "config.example.toml"
SCHEMA = FILE.with_name("slangmod.schema.json")


def test_the_example_is_what_the_settings_are_now():
    """`slangmod config example > config.example.toml` brings it up to date."""
    assert FILE.read_text("utf-8") == example()


def test_the_schema_is_what_the_settings_are_now():
    """`slangmod config schema > slangmod.schema.json` brings it up to date."""
    assert json.loads(SCHEMA.read_text("utf-8")) == json.loads(
        json.dumps(json_schema())
    )


def test_the_example_names_the_schema_beside_it():
    assert FILE.read_text("utf-8").startswith(f"#:schema ./{SCHEMA.name}\n")


def test_the_example_changes_nothing():
    assert load_settings(FILE) == load_settings()


def test_the_example_names_every_setting_below_its_meaning():
    text = FILE.read_text("utf-8")
    words = " ".join(text.replace("#", " ").split())
    for known in catalog().values():
        assert " ".join(known.meaning.split()) in words
        if not known.free:
            assert re.search(rf"(?m)^{known.path[-1]} = ", text)
    assert max(map(len, text.splitlines())) <= 88
