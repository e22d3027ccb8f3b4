"""Every setting is one that a run may go on with another value of, or is not."""

from pathlib import Path

import pytest

from slangmod.commands import RESUME_MAY_CHANGE
from slangmod.settings.catalog import arrays, catalog
from slangmod.settings.changing import (
    CHANGES,
    FREELY,
    ON_REQUEST,
    WITHOUT_EFFECT,
    changes_by_name,
    freely,
    refusal,
    ruled_by,
)
from slangmod.settings.run import may_change

EVERY = {
    *catalog(),
    *map(".".join, arrays()),
    *(
        ".".join((*path, name))
        for path, one in arrays().items()
        for name in catalog(one)
    ),
}
PAGE = Path(__file__).parents[2] / "docs" / "actions" / "resume.rst"


def test_every_setting_is_named_exactly_once():
    named = [name for names in CHANGES.values() for name in names.split()]
    assert sorted(named) == sorted(EVERY)


def test_resume_takes_what_changes_freely_and_nothing_else():
    taken = {n for n in catalog() if may_change(tuple(n.split(".")), RESUME_MAY_CHANGE)}
    assert taken == {name for name, how in changes_by_name().items() if how == FREELY}


@pytest.mark.parametrize("name", sorted(EVERY))
def test_what_shapes_a_run_never_changes_and_says_why(name):
    path = tuple(name.split("."))
    if path not in arrays() and ruled_by(path) != name:
        array = next(one for one in arrays() if path[: len(one)] == one)
        path = (*array, "3", *path[len(array) :])
    assert ruled_by(path) == name
    how = changes_by_name()[name]
    assert freely(path) == (how in (FREELY, WITHOUT_EFFECT))
    assert refusal(path) == ("" if freely(path) or how == ON_REQUEST else how)


@pytest.mark.parametrize("name", sorted(EVERY))
def test_the_manual_says_how_each_setting_may_change(name):
    how = changes_by_name()[name]
    text = PAGE.read_text("utf-8")
    part = text.partition(f"\n   * - {how}\n")[2].partition("\n   * - ")[0]
    section = f"``[{name.partition('.')[0]}]``"
    array = next(
        (".".join(a) for a in arrays() if f"{name}.".startswith(f"{'.'.join(a)}.")), ""
    )
    inside = f"``[[{array}]]`` {name[len(array) + 1 :]}".strip()
    words = " ".join(part.split())
    assert any(f"{one}," in f"{words}," for one in (f"``{name}``", section, inside))
