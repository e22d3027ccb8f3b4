"""Which cases of a test always run; the others do in ``make test-all``."""

from collections.abc import Collection, Hashable, Iterable
from typing import Any

import pytest


def mostly_slow(cases: Iterable[Hashable], always: Collection[Hashable]) -> list[Any]:
    """All ``cases``, for ``parametrize``: slow but for those that ``always`` run."""
    cases = list(cases)
    assert set(always) <= set(cases)
    return [
        case if case in always else pytest.param(case, marks=pytest.mark.slow)
        for case in cases
    ]
