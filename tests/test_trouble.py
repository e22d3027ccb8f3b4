"""What the page of troubles quotes is what the program says."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "trouble.rst").read_text("utf-8")
QUOTED = re.compile(r"^   \* - (``.+)$", re.MULTILINE)
LEAST = 25


def fragments() -> list[str]:
    """What stands as code in the first column, a place each where lines may vary."""
    cells = QUOTED.findall(PAGE)
    return [text for cell in cells for text in re.findall(r"``(.+?)``", cell)]


def spoken() -> str:
    """All texts in the program, what is filled in between them left out."""
    trees = (
        ast.parse(path.read_text("utf-8")) for path in (ROOT / "slangmod").rglob("*.py")
    )
    return "\n".join(
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def test_there_is_help_for_many_troubles() -> None:
    assert len(QUOTED.findall(PAGE)) >= LEAST


@pytest.fixture(scope="module")
def said() -> str:
    return spoken().lower()


@pytest.mark.parametrize("fragment", fragments())
def test_what_is_quoted_is_said(said, fragment: str) -> None:
    assert fragment.lower() in said
