"""Each test here proves a promise, and says by how many trials."""

from collections.abc import Callable

import pytest

from tests.reliability.promises import PROMISES


@pytest.fixture
def promise(record_property) -> Callable[[str, int], None]:
    """``promise("R1", 200)``: so many trials have shown it; call it at the end."""

    def kept(name: str, trials: int) -> None:
        assert name in PROMISES
        assert trials > 0
        record_property("promise", name)
        record_property("trials", trials)

    return kept
