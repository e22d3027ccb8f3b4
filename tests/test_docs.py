"""The manual says what the program does."""

import re
import sys
from pathlib import Path

import pytest

from slangmod.commands import ALIASES, COMMANDS, RESUME_MAY_CHANGE
from slangmod.settings.aliases import ALIASES as ALIASES_OF
from slangmod.settings.catalog import arrays, catalog, free_tables, tables
from slangmod.settings.derived import DERIVED
from slangmod.settings.schedules import SCHEDULES
from tests.reliability import bits

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.rst"), *(ROOT / "docs").rglob("*.rst")],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)
KNOWN = {action.split()[0] for action in COMMANDS} | set(ALIASES)
SHOWN_AS_MISTAKES = {"train.learning_rat"}
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def test_the_page_of_settings_is_fresh(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    sys.modules.pop("generate", None)
    from generate import TARGET, settings_page

    assert TARGET.read_text("utf-8") == settings_page(), "run python docs/generate.py"


def test_the_table_of_models_and_devices_is_fresh(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    sys.modules.pop("generate", None)
    from generate import SCALING, scaling_table

    assert SCALING.read_text("utf-8") == scaling_table(), "run python docs/generate.py"


@pytest.mark.parametrize("name", NAMES)
def test_every_action_that_is_mentioned_exists(name):
    text = (ROOT / name).read_text("utf-8")
    for action in re.findall(r"(?:\$ |``)slangmod ([a-z-]+)", text):
        assert action in KNOWN or action == "--help", f"slangmod {action}"


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_that_is_mentioned_exists(name):
    text = (ROOT / name).read_text("utf-8")
    sections = "|".join(".".join(path) for path in tables() if path)
    mentioned = re.findall(rf"(?:--|``)((?:{sections})\.(?!py\b)[a-z_.]+[a-z_])", text)
    free = tuple(f"{'.'.join(path)}." for path in free_tables())
    known = {*catalog(), *DERIVED, *map(".".join, arrays())}
    wrong = {one for one in mentioned if one not in known and not one.startswith(free)}
    assert wrong <= SHOWN_AS_MISTAKES


@pytest.mark.parametrize("action", list(dict.fromkeys(a.split()[0] for a in COMMANDS)))
def test_every_action_has_a_page(action):
    page = ROOT / "docs" / "actions" / f"{action}.rst"
    assert page.is_file()
    index = (ROOT / "docs" / "actions" / "index.rst").read_text("utf-8")
    assert f"   {action}\n" in index


@pytest.mark.parametrize("name", RESUME_MAY_CHANGE)
def test_the_settings_that_resume_may_change_are_told(name):
    text = (ROOT / "docs" / "actions" / "resume.rst").read_text("utf-8")
    assert f"``{name}``" in text or f"``[{name}]``" in text


def test_the_page_of_settings_has_arrays_of_tables_too():
    text = (ROOT / "docs" / "settings.rst").read_text("utf-8")
    for path, section in arrays().items():
        _, found, rest = text.partition(f"\n[[{'.'.join(path)}]]\n")
        assert found
        part = rest.split("\n[[")[0]
        assert [f"``{name}``" for name in catalog(section)] == re.findall(
            r"^   \* - (``.+``)$", part, re.MULTILINE
        )


def test_every_schedule_has_its_formula_its_picture_and_its_other_names():
    text = (ROOT / "docs" / "schedules.rst").read_text("utf-8")
    for word in SCHEDULES:
        assert f"**{word}** " in text
        assert f'draw(scaling="{word}", ' in text
    assert all(alias in text.lower() for alias in ALIASES_OF["train.scaling"])


def test_every_page_is_reached():
    pages = [name for name in NAMES if name.startswith("docs/")]
    linked = set()
    for name in pages:
        folder = (ROOT / name).parent
        text = (ROOT / name).read_text("utf-8")
        for block in re.findall(r"\.\. toctree::\n(?:   :.*\n)*\n((?:   .+\n)+)", text):
            linked |= {
                (folder / f"{line.strip()}.rst").resolve()
                for line in block.splitlines()
            }
    assert {(ROOT / name).resolve() for name in pages} - linked == {
        (ROOT / "docs" / "index.rst").resolve()
    }


def test_what_is_left_out_of_exactness_is_what_its_tests_leave_out():
    page = (ROOT / "docs" / "exactness.rst").read_text("utf-8")
    table = page.partition("Left out is")[2].partition("``tests/reliability/bits.py``")[
        0
    ]
    files = {"state.json", "manifest.json", "[cost]"}
    names = {*bits.CLOCK_COLUMNS, *bits.NAME_KEYS, *bits.CLOCK_KEYS["cost"]}
    assert bits.CLOCK_KEYS.keys() == {"cost"}
    assert {*bits.STATE_KEYS} == {"counters", "times"}
    assert {*bits.STATE_KEYS["counters"]} <= names
    assert {*re.findall(r"``(.+?)``", table)} == files | names | {"times"}
    listed = re.findall(r"\* - (.+)\n", table)[-1].split(", ")
    assert listed == list(bits.FILES)
