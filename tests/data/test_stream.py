"""Shards read as one array, and hold no memory for it."""

from pathlib import Path

import numpy as np
import pytest

from slangmod.data import stream

SMAPS = Path("/proc/self/smaps")


def test_shards_read_as_one_array(make_tokens) -> None:
    tokens = make_tokens([[0, 1, 2], [], [3], [4, 5, 6, 7]])
    assert len(tokens) == 8
    for start in range(8):
        for length in range(1, 9 - start):
            out = np.empty(length, np.int64)
            tokens.copy_to(out, start)
            assert out.tolist() == list(range(start, start + length))


def test_releasing_pages_changes_nothing(make_tokens, monkeypatch) -> None:
    monkeypatch.setattr(stream, "RELEASE_AFTER", 1)
    tokens = make_tokens([list(range(5000))])
    out = np.empty(5000, np.int64)
    for _ in range(3):
        tokens.copy_to(out, 0)
        assert out.tolist() == list(range(5000))


def test_no_shard_is_an_empty_array(make_tokens) -> None:
    assert len(make_tokens([[]])) == 0


def test_a_read_past_the_end_fails(make_tokens) -> None:
    with pytest.raises(IndexError):
        make_tokens([[1, 2]]).copy_to(np.empty(3, np.int64), 0)


@pytest.mark.skipif(not SMAPS.exists(), reason="no /proc/self/smaps here")
def test_scattered_reads_do_not_make_all_of_a_shard_resident(tmp_path) -> None:
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(2 * stream.RELEASE_AFTER))
    tokens = stream.MappedArray([path], "<u2")
    out, highest = np.empty(4, np.int64), 0
    for start in range(0, len(tokens) - 4, 8 * 4096):
        tokens.copy_to(out, start)
        if start % (1 << 20) == 0:
            highest = max(highest, resident(path))
    assert 0 < highest <= stream.RELEASE_AFTER


def resident(path: Path) -> int:
    """Bytes of the file that are mapped and in memory."""
    lines = iter(SMAPS.read_text("utf-8").splitlines())
    for line in lines:
        if line.endswith(str(path)):
            return next(
                int(entry.split()[1]) * 1024
                for entry in lines
                if entry.startswith("Rss:")
            )
    raise AssertionError(path)
