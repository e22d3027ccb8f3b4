"""Processes that compute one run together."""

from collections.abc import Iterator

import pytest

from tests.parallel.ranks import Ranks
from tests.parallel.yard import Yard


@pytest.fixture(scope="session")
def ranks() -> Iterator[Ranks]:
    """Starts processes as torchrun does."""
    server = Ranks()
    yield server
    server.close()


@pytest.fixture(scope="session")
def yard(ranks: Ranks, tmp_path_factory: pytest.TempPathFactory) -> Yard:
    """A folder in which they train, which all tests share."""
    return Yard(ranks, tmp_path_factory.mktemp("yard"))
