"""Files that are no configuration: each ends in one line with its place."""

# ruff: noqa: E501  (one case per line, however long: tables)

import os
from functools import partial

import pytest

from slangmod.settings.read import parse_toml, presets, read_preset, read_toml

BAD = [
    (b"x = .5", "c.toml:1:5: not valid TOML: invalid value"),
    (b"\n\nx = True", "c.toml:3:5: not valid TOML: invalid value"),
    (b"x = 1\nx = 2\n", "c.toml:2:6: not valid TOML: 'x' is set already, in line 1"),
    (b"[a]\n[b]\n[a]\n", "c.toml:3:3: not valid TOML: 'a' is set already, in line 1"),
    (b"[a.b]\nc = 1\n[a]\nb.c = 2\n", "c.toml:4:8: not valid TOML: 'a.b.c' is set already, in line 2"),
    (b"x = \xff", "c.toml:1:5: not valid UTF-8: byte 0xff; save the file as UTF-8"),
    (b"x = 1\n# \xc3", "c.toml:2:3: not valid UTF-8: byte 0xc3; save the file as UTF-8"),
    (b"x = " + b"[" * 100_000, "c.toml:1:14: nested deeper than 8 tables and lists; no configuration needs it"),
    (b"a." * 50_000 + b"a = 1", "c.toml:1:18: nested deeper than 8 tables; no configuration needs it"),
    (b"x = " + b"9" * 5000, "c.toml:1:5: a number of more than 128 characters; no configuration needs it"),
    (b'x = "\x1b[31m"', "c.toml:1:6: not valid TOML: illegal character '\\x1b'"),
    (b"x = 1 y = 2", "c.toml:1:7: not valid TOML: expected newline or end of document after a statement"),
    (b"\x00", "c.toml:1:1: not valid TOML: invalid statement"),
    (b"\xff\xfex\x00", "c.toml:1:1: not valid UTF-8: byte 0xff; save the file as UTF-8"),
    (b"x" * (1 << 20) + b"x", "c.toml: larger than 1 MiB; no configuration needs that"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "problem"), BAD, ids=lambda one: one[:12])
def test_a_bad_file_is_refused_with_its_place(here, problems_of, content, problem):
    (here / "c.toml").write_bytes(content)
    assert problems_of(read_toml, here.joinpath("c.toml").relative_to(here)) == (
        problem,
    )


def test_a_byte_order_mark_is_skipped(here):
    (here / "c.toml").write_bytes(b"\xef\xbb\xbfseed = 5\n")
    assert read_toml(here / "c.toml") == ({"seed": 5}, {("seed",): 1})


def test_the_largest_file_is_read(here):
    (here / "c.toml").write_bytes(b"seed = 5\n#".ljust(1 << 20, b"x"))
    assert read_toml(here / "c.toml")[0] == {"seed": 5}


def test_what_is_no_file_is_named(here, problems_of):
    (here / "folder").mkdir()
    cases = {
        "missing.toml": "missing.toml: no such file",
        "folder": "folder: is a folder; name a TOML file in it",
        "a\nb": "a\\nb: no such file",
        "folder/c.toml/d": "folder/c.toml/d: no such file",
        "x" * 300: "x" * 300 + ": cannot be read: file name too long",
    }
    for name, problem in cases.items():
        path = here / name
        assert problems_of(read_toml, path.relative_to(here)) == (problem,)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_named(here, problems_of):
    (here / "c.toml").touch(mode=0)
    (problem,) = problems_of(read_toml, here / "c.toml")
    assert problem.endswith("c.toml: cannot be read: permission denied")


def test_a_stream_without_end_is_not_read_to_its_end(problems_of):
    from pathlib import Path

    (problem,) = problems_of(partial(read_toml, piped=True), Path("/dev/zero"))
    assert problem == "/dev/zero: larger than 1 MiB; no configuration needs that"


def test_only_what_a_user_names_may_be_a_pipe(here, problems_of):
    os.mkfifo(here / "c.toml")
    (problem,) = problems_of(read_toml, here / "c.toml")
    assert problem.endswith("c.toml: cannot be read: not a regular file")


def test_presets_parse():
    for name in presets():
        table, lines = read_preset(name)
        assert table
        assert lines


def test_lines_come_with_the_table():
    assert parse_toml(b"\na.b = 1", "c.toml") == (
        {"a": {"b": 1}},
        {("a",): 2, ("a", "b"): 2},
    )
