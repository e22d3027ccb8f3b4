"""Files that others may have made, read under limits."""

import io

import pytest

from slangmod.reading import bounded_lines, parsed, read_json, read_limited


def test_content_of_the_largest_size_is_read_and_more_is_not(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_limited(path, 5) == b"12345"
    with pytest.raises(ValueError, match="larger than 4 bytes"):
        read_limited(path, 4)
    assert read_json(path) == 12345
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "b")


def test_what_is_nested_too_deeply_is_no_value():
    assert parsed("[[1]]") == [[1]]
    with pytest.raises(ValueError, match="nested too deeply"):
        parsed("[" * 10**5)


def test_lines_come_whole_or_in_pieces():
    stream = io.BytesIO(b"ab\nabcdefg\n\nxy")
    assert list(bounded_lines(stream, 4)) == [b"ab\n", b"abcd", b"efg\n", b"\n", b"xy"]
