"""TOML as it is written, and text that is safe to show."""

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from slangmod.settings.literals import brief, dotted, literal, printable, quoted, short

unicode = st.text(st.characters(exclude_categories=["Cs"]))


@given(unicode)
def test_any_text_is_read_back_as_it_was_written(text):
    assert tomli.loads(f"x = {quoted(text)}") == {"x": text}
    assert quoted(text).isprintable()


@given(st.lists(unicode, min_size=1, max_size=3))
def test_any_key_is_read_back_as_it_was_written(path):
    table = tomli.loads(f"{dotted(path)} = 1")
    for part in path:
        table = table[part]
    assert table == 1


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63))
def test_any_number_is_read_back_bit_for_bit(number):
    (read,) = tomli.loads(f"x = {literal(number)}").values()
    assert (read, type(read)) == (number, type(number))


@given(st.text())
def test_what_is_shown_is_one_line_without_controls(text):
    for shown in (printable(text), brief(text), short(text)):
        assert shown.isprintable()
        assert len(shown) <= 12 * max(len(text), 1) + 6


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, '"none"'),
        (True, "true"),
        (1e-5, "1e-05"),
        ((1, "a"), '[1, "a"]'),
        ({"a b": {"c": 1}}, '{"a b" = {c = 1}}'),
        (10**60, "a huge number"),
        (-(10**4000), "a huge number"),
        ("x" * 61, '"' + "x" * 60 + '..."'),
        (["x" * 58] * 9, '["' + "x" * 58 + '", "' + "x" * 56 + "..."),
    ],
)  # fmt: skip
def test_errors_quote_values_briefly(value, shown):
    assert brief(value) == shown
