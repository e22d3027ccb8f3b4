"""The list of promises is the list of proofs."""

import re
from pathlib import Path

import pytest

from tests.reliability.promises import PROMISES

CALL = re.compile(r"promise\(\s*\"(R[0-9]+|Matrix)\"")


@pytest.mark.parametrize("name", PROMISES)
def test_each_promise_is_proved_by_a_test(name: str) -> None:
    here = Path(__file__).parent
    texts = (path.read_text("utf-8") for path in here.glob("test_*.py"))
    assert any(name in CALL.findall(text) for text in texts)
