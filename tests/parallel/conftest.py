"""Processes that compute one run together."""

from collections.abc import Iterator

import pytest

from tests.parallel.ranks import Ranks


@pytest.fixture(scope="session")
def ranks() -> Iterator[Ranks]:
    """Starts processes as torchrun does."""
    server = Ranks()
    yield server
    server.close()
