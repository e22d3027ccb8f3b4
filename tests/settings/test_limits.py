"""Limits on configurations hold exactly, whatever spells a value: 1 MiB for a file, 8
tables and lists inside each other, keys of 256 and numbers of 128 characters.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from slangmod.errors import SettingsError
from slangmod.settings import load_settings, resolve
from slangmod.settings.read import LARGEST
from slangmod.settings.scan import DEEPEST, LONGEST_KEY, LONGEST_NUMBER
from slangmod.settings.show import show

quiet = hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
    max_examples=60,
)
nesting = st.lists(st.sampled_from(["table", "list"]), max_size=DEEPEST + 4)


def spelled(nested):
    """A value in so many tables and lists, as TOML and in Python."""
    text, value = "1", 1
    for kind in reversed(nested):
        is_list = kind == "list"
        text = f"[{text}]" if is_list else f"{{k = {text}}}"
        value = [value] if is_list else {"k": value}
    return text, value


def is_small_enough(nested, above):
    """Whether the value may stand below a name of ``above`` parts.

    Each table takes a key, and keys lead DEEPEST levels down; so do tables and lists.
    """
    keys = [above + n for n, kind in enumerate(nested, start=1) if kind == "table"]
    return max([above, *keys]) <= DEEPEST and len(nested) + above <= DEEPEST + 1


def loads(*arguments):
    """Settings, or None where they are refused for being too large."""
    try:
        return resolve(*arguments)
    except SettingsError as error:
        (problem,) = error.problems
        assert "\n" not in problem
        assert len(problem) < 3 * LONGEST_KEY
        what = ("nested deeper than 8", "more than", "larger than 1 MiB")
        assert any(word in problem for word in what)
        return None


@given(nesting)
@example(["list"] * (DEEPEST - 1))
@example(["list"] * DEEPEST)
@example(["table"] * (DEEPEST - 2))
@example(["table"] * (DEEPEST - 1))
@quiet
def test_values_nest_as_deep_as_they_may_and_no_deeper(tmp_path, nested):
    text, value = spelled(nested)
    fits = is_small_enough(nested, above=2)
    file = Path(tmp_path) / "c.toml"
    found = []
    for spelling in (f"extra.a = {text}", f"[extra]\na = {text}"):
        file.write_text(spelling)
        found.append(loads(file))
    found.append(loads(None, [("extra.a", text)]))
    found.append(loads(None, (), {"SLM_EXTRA__A": text}))
    assert [one is not None for one in found] == [fits] * 4
    if fits:
        expected = load_settings(None, {"extra": {"a": value}})
        assert all(one.settings == expected for one in found)
        file.write_text(show(found[0]))
        assert load_settings(file) == expected
    else:
        with pytest.raises(SettingsError, match="nested deeper than 8"):
            load_settings(None, {"extra": {"a": value}})


@given(st.integers(2, DEEPEST + 3), st.sampled_from(["header", "dotted", "array"]))
@quiet
def test_names_have_as_many_parts_as_they_may_and_no_more(tmp_path, parts, spelling):
    names = ["extra", *"abcdefghijklm"[: parts - 1]]
    text = {
        "header": f"[{'.'.join(names[:-1])}]\n{names[-1]} = 1",
        "dotted": f"{'.'.join(names)} = 1",
        "array": f"[[{'.'.join(names[:-1])}]]\n{names[-1]} = 1",
    }[spelling]
    file = Path(tmp_path) / "c.toml"
    file.write_text(text)
    # The table of an array has a number, which is a level of its own.
    is_array = spelling == "array" and parts > 2
    if spelling == "array" and parts == 2:
        return  # [extra] is one table
    assert (loads(file) is not None) == (parts + is_array <= DEEPEST)
    is_sound = loads(None, [(".".join(names), "1")]) is not None
    assert is_sound == (parts <= DEEPEST)


@given(
    st.integers(-2, 2) | st.integers(-LARGEST + 100, LARGEST),
    st.sampled_from(["#{}", "\n{}\n", 'extra.a = "{}"', "extra.a = '''{}'''", "#\n{}"]),
)
@hypothesis_settings(quiet, max_examples=20)
def test_a_file_is_as_large_as_it_may_be_and_no_larger(tmp_path, over, form):
    """Refused by its size alone, before anybody looks at what it says."""
    filler = "\n" if form == "\n{}\n" else "#" if form == "#\n{}" else "x"
    size = LARGEST + over
    content = form.format(filler * (size - len(form) + 2))
    assert len(content) == size
    file = Path(tmp_path) / "c.toml"
    file.write_text(content)
    assert (loads(file) is not None) == (over <= 0)
    base = Path(tmp_path) / "d.toml"
    base.write_text('base = "c.toml"')
    assert (loads(base) is not None) == (over <= 0)


@given(st.integers(1, 2 * LONGEST_KEY), st.sampled_from(["", "b."]))
@example(LONGEST_KEY, "")
@example(LONGEST_KEY + 1, "")
@quiet
def test_keys_are_as_long_as_they_may_be_and_no_longer(tmp_path, length, above):
    key, fits = "k" * length, length <= LONGEST_KEY
    file = Path(tmp_path) / "c.toml"
    file.write_text(f"extra.{above}{key} = 1")
    assert (loads(file) is not None) == fits
    assert (loads(None, [(f"extra.{above}{key}", "1")]) is not None) == fits
    assert (loads(None, (), {f"SLM_EXTRA__{key}": "1"}) is not None) == fits


@given(
    st.integers(LONGEST_KEY - 3, LONGEST_KEY + 3),
    st.sampled_from(["k", " ", '"', "\\", "\n", "é", "\x01"]),
)
@quiet
def test_a_key_that_may_be_set_may_be_read_again_however_it_is_quoted(
    tmp_path, length, letter
):
    for extra in ({letter * length: 1}, {"a": [{letter * length: 1}]}):
        try:
            settings = load_settings(None, {"extra": extra})
        except SettingsError:
            assert length > LONGEST_KEY
            continue
        assert length <= LONGEST_KEY
        file = Path(tmp_path) / "c.toml"
        file.write_text(str(settings))
        assert load_settings(file) == settings


@given(st.integers(1, 5000))
@quiet
def test_numbers_are_as_long_as_they_may_be_and_no_longer(tmp_path, length):
    file = Path(tmp_path) / "c.toml"
    file.write_text(f"extra.a = 0.{'1' * length}")
    assert (loads(file) is not None) == (length + 2 <= LONGEST_NUMBER)
