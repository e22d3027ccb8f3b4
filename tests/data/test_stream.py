"""Shards read as one array, and hold no memory for it."""

from pathlib import Path

import numpy as np
import pytest

from slangmod.data import stream
from slangmod.errors import RunError

SMAPS = Path("/proc/self/smaps")


def test_shards_read_as_one_array(make_tokens) -> None:
    tokens = make_tokens([[0, 1, 2], [], [3], [4, 5, 6, 7]])
    assert len(tokens) == 8
    for start in range(8):
        for length in range(1, 9 - start):
            out = np.empty(length, np.int64)
            tokens.copy_to(out, start)
            assert out.tolist() == list(range(start, start + length))


def test_no_shard_is_an_empty_array(make_tokens) -> None:
    assert len(make_tokens([[]])) == 0


def test_a_read_past_the_end_fails(make_tokens) -> None:
    with pytest.raises(IndexError):
        make_tokens([[1, 2]]).copy_to(np.empty(3, np.int64), 0)


def test_a_shard_that_becomes_shorter_is_an_error_and_no_crash(tmp_path) -> None:
    path = tmp_path / "cut.bin"
    np.arange(100, dtype="<u2").tofile(path)
    tokens, out = stream.TokenStream([path], "<u2"), np.empty(10, np.int64)
    with path.open("rb+") as file:
        file.truncate(150)
    tokens.copy_to(out, 60)
    assert out.tolist() == list(range(60, 70))
    with pytest.raises(RunError, match=r"cut\.bin: became shorter"):
        tokens.copy_to(out, 70)


def test_a_shard_that_is_replaced_is_read_to_its_end(tmp_path) -> None:
    path = tmp_path / "old.bin"
    np.arange(8, dtype="<u2").tofile(path)
    tokens, out = stream.TokenStream([path], "<u2"), np.empty(8, np.int64)
    np.zeros(8, "<u2").tofile(tmp_path / "new.bin")
    (tmp_path / "new.bin").replace(path)
    tokens.copy_to(out, 0)
    assert out.tolist() == list(range(8))


@pytest.mark.skipif(not SMAPS.exists(), reason="no /proc/self/smaps here")
def test_nothing_of_a_shard_stays_in_memory(tmp_path) -> None:
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(1 << 26))
    tokens, out = stream.TokenStream([path], "<u2"), np.empty(512, np.int64)
    before = resident()
    for start in range(0, len(tokens) - 512, 4096):
        tokens.copy_to(out, start)
    assert resident() - before < 1 << 22
    assert str(path) not in SMAPS.read_text("utf-8")


def test_files_are_closed_with_the_stream(tmp_path) -> None:
    path = tmp_path / "ids.bin"
    path.write_bytes(bytes(8))
    before = set(Path("/proc/self/fd").iterdir())
    tokens = stream.TokenStream([path], "<u2")
    assert len(tokens) == 4
    del tokens
    # What other tests have left may be closed meanwhile.
    assert set(Path("/proc/self/fd").iterdir()) <= before


def resident() -> int:
    """Bytes of this process that are in memory."""
    lines = SMAPS.read_text("utf-8").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss:"))
