"""Parquet files of others, read in a process of its own."""

import os
import time
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slangmod.errors import DataError
from slangmod.text import apart
from slangmod.text.apart import rows_apart


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "a.parquet"
    more = [False, True, None, False]
    pq.write_table(pa.table({"text": ["a", "\u00e9", None, ""], "more": more}), path)
    return path


def rows(path: Path, *columns: str, most: int = 100) -> list:
    with path.open("rb") as stream:
        return list(rows_apart(path, stream, columns or ("text",), most))


def test_rows_come_as_they_are_there(table):
    assert rows(table) == [("a", False), ("\u00e9", False), (None, False), ("", False)]
    assert rows(table, "text", "more")[:2] == [("a", False), ("\u00e9", True)]


def test_what_is_wrong_with_the_file_is_told_by_name(table):
    with pytest.raises(DataError, match=r"a\.parquet: has no column 'body'"):
        rows(table, "body")
    with pytest.raises(DataError, match=r"a\.parquet: row 1: a document of 2 bytes"):
        rows(table, most=1)


@pytest.mark.parametrize("how", ["import os; os.abort()", "bytearray(1 << 62)"])
def test_a_process_that_dies_is_an_error_of_the_file(table, monkeypatch, how):
    monkeypatch.setattr(apart, "COMMAND", how)
    with pytest.raises(
        DataError, match=r"a\.parquet: cannot be read: at row 0 or after"
    ):
        rows(table)


def test_who_stops_reading_ends_the_process(table, monkeypatch):
    pid = f"{table}.pid"
    frame = apart.FRAME.pack(apart.TEXT, 0)
    monkeypatch.setattr(
        apart,
        "COMMAND",
        f"import os, sys, time; sys.stdout.buffer.write({frame!r});"
        f"sys.stdout.flush(); open({pid!r}, 'w').write(str(os.getpid()));"
        "time.sleep(600)",
    )
    with table.open("rb") as stream:
        reading = rows_apart(table, stream, ("text",), 9)
        assert next(reading) == ("", False)
        while not (Path(pid).exists() and Path(pid).read_text()):
            time.sleep(0.01)
        reading.close()
    with suppress(ProcessLookupError):
        os.kill(int(Path(pid).read_text()), 0)
        pytest.fail("it is still there")
