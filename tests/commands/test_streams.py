"""Standard streams that outlive who reads them."""

import os
import subprocess
import sys
from contextlib import suppress

import pytest

from slangmod.commands import streams

CODE = """
import os, sys
from slangmod.commands.streams import keep_streams, leave
keep_streams()
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
for stream in (sys.stdout, sys.stderr):
    print("said", file=stream, flush=stream is sys.stderr)
os.write(2, b"by a library") if len(sys.argv) > 3 else None
os.write(file, b"kept")
assert sys.stdin is not None
leave(int(sys.argv[2]))
"""


ENVIRONMENT = {
    key: text for key, text in os.environ.items() if key != "PYTHONUNBUFFERED"
}


@pytest.mark.parametrize(
    ("closed", "code"),
    [
        ("2>&-", 0),
        ("<&- >&- 2>&-", 75),
        (">/dev/full 2>/dev/full", 75),
        ("2>/dev/full", 3),
        ("2>&1 | true; exit ${PIPESTATUS[0]}", 130),
    ],
)
def test_the_exit_code_is_told_whatever_became_of_the_streams(
    tmp_path, closed, code
) -> None:
    file = tmp_path / "file"
    program = [sys.executable, "-c", CODE, str(file), str(code)]
    line = '"$0" "$@" ' + closed
    done = subprocess.run(
        ["bash", "-c", line, *program],
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == code
    # What is said never lands in the file that was opened next.
    assert file.read_bytes() == b"kept"


def test_what_can_be_said_is_said(tmp_path) -> None:
    program = [sys.executable, "-c", CODE, str(tmp_path / "file"), "75", "more"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.stdout == "said\n"
    assert done.stderr == "said\nby a library"
    assert done.returncode == 75


def filled(writing: int) -> int:
    """Fill a pipe; -> bytes in it."""
    os.set_blocking(writing, False)
    size = 0
    with suppress(BlockingIOError):
        while True:
            size += os.write(writing, b"x" * 512)
    os.set_blocking(writing, True)
    return size


def test_who_does_not_read_is_not_waited_for(monkeypatch) -> None:
    monkeypatch.setattr(streams, "PATIENCE", 0.1)
    reading, writing = os.pipe()
    size = filled(writing)
    with streams.Forgiving(writing, "w") as stream:
        assert stream.write(b"one") == 3
        monkeypatch.setattr(streams, "PATIENCE", 1e6)  # waited for only once
        assert stream.write(b"two" * 2000) == 6000
        assert os.read(reading, size) == b"x" * size
        assert stream.write(b"three") == 5
        assert stream.write(b"four" * 1000) == 4000
        assert os.read(reading, size) == streams.MISSED + b"three" + b"four" * 1000
        os.close(reading)
        assert stream.write(b"five") == 4
