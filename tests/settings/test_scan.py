"""Which line sets which key, compared with what a TOML reader finds."""

from collections.abc import Mapping
from contextlib import suppress

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from slangmod.settings.literals import literal
from slangmod.settings.scan import DEEPEST, LimitError, lines_of

TEXT = '''\
# comment = 1
top = 1 # a = 2
[train]  # [not.a.table]
 batch_size= 3
"quoted key" = "a # b"
'literal "key"' = 'c'
dotted . key."with dots.in" = 4

long = """
fake = 1
[fake]
""quotes"" \\"""
"""
other = \'\'\'
fake = 2\'\'\'\'
after = [ # comment ]
  1,
  "]", # }
  { deep = 5, deeper = [
     { deepest = 6 } ] },
]
inline = { a = 1, b.c = 2,
  "d" = "}" }
when = 1979-05-27 07:32:00
[[many]]
x = 1
[[many]]
x = 2
y = 3
[many.inside]
z = true
[ spaced . "out" ]
last = 1.5e-3'''

LINES = {
    "top": 2,
    "train": 3,
    "train.batch_size": 4,
    "train.quoted key": 5,
    'train.literal "key"': 6,
    "train.dotted": 7,
    "train.dotted.key": 7,
    "train.dotted.key.with dots.in": 7,
    "train.long": 9,
    "train.other": 14,
    "train.after": 16,
    "train.after.3": 19,
    "train.after.3.deep": 19,
    "train.after.3.deeper": 19,
    "train.after.3.deeper.1": 20,
    "train.after.3.deeper.1.deepest": 20,
    "train.inline": 22,
    "train.inline.a": 22,
    "train.inline.b": 22,
    "train.inline.b.c": 22,
    "train.inline.d": 23,
    "train.when": 24,
    "many": 25,
    "many.1": 25,
    "many.1.x": 26,
    "many.2": 27,
    "many.2.x": 28,
    "many.2.y": 29,
    "many.2.inside": 30,
    "many.2.inside.z": 31,
    "spaced": 32,
    "spaced.out": 32,
    "spaced.out.last": 33,
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_each_key_has_its_line(newline):
    text = TEXT.replace("\n", newline)
    tomli.loads(text)
    found = {".".join(path): line for path, line in lines_of(text).first.items()}
    assert found == LINES


def keys_of(table, above=()):
    """The paths of all keys in a parsed table, lists looked into."""
    for name, value in table.items():
        path = (*above, name)
        yield path
        yield from keys_inside(value, path)


def keys_inside(value, path):
    """The paths of the keys of tables in a value; items of lists have numbers."""
    if isinstance(value, Mapping):
        yield from keys_of(value, path)
    elif isinstance(value, list):
        for number, item in enumerate(value, start=1):
            place = (*path, str(number))
            if inside := list(keys_inside(item, place)):
                yield from [place, *inside]


scalars = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.datetimes(allow_imaginary=False)
)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)


def written(table, draw):
    """A table as TOML in one of its many spellings."""
    for name, value in table.items():
        blank = draw(st.sampled_from(["", "\n", "# x = [\n", " \t", "\n\n# '\n"]))
        yield (
            blank
            + literal({name: value})[1:-1]
            + draw(st.sampled_from(["\n", " # ] y = 1\n", "\r\n"]))
        )


@given(st.data(), st.dictionaries(keys, values, max_size=4), keys)
def test_the_keys_found_are_those_that_a_reader_finds(data, table, name):
    text = "".join(written(table, data.draw))
    if name not in table:
        text += literal({name: {}})[1:-1].split(" = ")[0].join("[]") + "\n"
        text += "".join(written(table, data.draw))
    try:
        found = lines_of(text).first
    except LimitError:
        return  # the strategy nests deeper than a configuration may
    assert set(found) == set(keys_of(tomli.loads(text)))
    assert all(1 <= line <= text.count("\n") + 1 for line in found.values())


@given(st.text(alphabet="ab.=[]{}\"'#\\\n, 1_-u"))
def test_any_text_is_walked_without_an_error(text):
    try:
        lines_of(text)
    except LimitError as error:
        assert error.line >= 1
        assert error.column >= 1


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("\n" + "a." * DEEPEST + "b = 1", 2, 18, "nested deeper than 8 tables"),
        ("[" + ".".join("abcdefghi") + "]", 1, 19, "nested deeper than 8 tables"),
        ("x = " + "[" * 20, 1, 14, "nested deeper than 8 tables and lists"),
        ("x = " + "{a=" * 20, 1, 28, "nested deeper than 8 tables"),
        ("x = 1\ny = [\n" + "9" * 200, 3, 1, "a number of more than 128 characters"),
        ("k" * 257 + " = 1", 1, 1, "a key of more than 256 characters"),
        ("x = 1\n'" + "k" * 257 + "' = 1", 2, 1, "a key of more than 256 characters"),
    ],
)
def test_what_no_configuration_needs_is_refused_with_its_place(
    text, line, column, what
):
    with pytest.raises(LimitError, match=what) as caught:
        lines_of(text)
    assert (caught.value.line, caught.value.column) == (line, column)


MANY = 1 << 19


@pytest.mark.parametrize(
    "text",
    [
        'x = """' + '"\\n' * (MANY // 3),
        'x = "' + '\\"' * (MANY // 2),
        "x = '" + "a" * MANY,
        "x = [" + "1," * (MANY // 2),
        "\n" * MANY,
        "#" * MANY,
        "x = 1" + " " * MANY,
        "[a]\n" * (MANY // 4),
        "x = {" + "a=1," * (MANY // 4),
        "\\" * MANY,
    ],
    ids=lambda text: text[:8],
)
@pytest.mark.timeout(100)
def test_the_walk_ends_soon_where_a_quadratic_one_would_take_hours(text):
    with suppress(LimitError):
        lines_of(text)


def test_what_is_set_again_is_found():
    assert lines_of("a = 1\nb = 2\n[t]\na = 1\n[t]").again == {5: ("t",)}
