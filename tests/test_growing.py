import errno
import os

import pytest

from slangmod.growing import Growing


@pytest.fixture
def full(monkeypatch):
    """``full(True)``: writes are refused from now on."""
    write = os.write
    state = [False]

    def refusing(descriptor: int, content: bytes) -> int:
        if state[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content)

    monkeypatch.setattr("os.write", refusing)
    return lambda now: state.__setitem__(0, now)


def test_what_is_refused_is_written_later_in_order(tmp_path, full) -> None:
    file = Growing(tmp_path / "log")
    assert file.add(b"a") is None
    full(True)
    error = file.add(b"b")
    assert error.errno == errno.ENOSPC
    assert error.filename == str(tmp_path / "log")
    assert file.sync() is not None
    full(False)
    assert file.add(b"c") is None
    assert (tmp_path / "log").read_bytes() == b"abc"


def test_what_waits_is_bounded_and_the_rest_counted(tmp_path, full) -> None:
    file = Growing(tmp_path / "log", room=5)
    full(True)
    for part in (b"aaa", b"bbb", b"cc"):
        assert file.add(part) is not None
    assert file.lost == 3
    full(False)
    assert file.add(b"d") is None
    assert file.close() is None
    assert (tmp_path / "log").read_bytes() == b"aaaccd"


def test_a_file_that_was_removed_can_be_begun_again(tmp_path) -> None:
    file = Growing(tmp_path / "log")
    file.add(b"a")
    assert not file.gone
    (tmp_path / "log").unlink()
    assert file.gone
    file.begin_again(b"head ")
    file.add(b"b")
    assert (tmp_path / "log").read_bytes() == b"head b"


def up_to(letter: bytes):
    return lambda line: line[:1] <= letter and line.endswith(b"\n")


@pytest.mark.parametrize(
    ("last", "written", "later"),
    [(b"a", b"a\n", b"a\nz\n"), (b"b", b"a\nb", b"a\nb\nz\n")],
)
def test_lines_that_wait_are_cut_as_those_that_are_written(
    tmp_path, full, last, written, later
) -> None:
    file = Growing(tmp_path / "log")
    file.add(b"a\nb")  # torn, as a disk leaves it that fills up
    full(True)
    file.add(b"\nc\n")
    file.cut(up_to(last), 100)
    assert (tmp_path / "log").read_bytes() == written
    full(False)
    file.add(b"z\n")
    assert (tmp_path / "log").read_bytes() == later


def test_lines_that_never_came_to_be_written_are_cut(tmp_path, full) -> None:
    file = Growing(tmp_path / "log")
    full(True)
    file.add(b"a\nb\n")
    file.cut(up_to(b"a"), 100)
    full(False)
    assert file.sync() is None
    assert (tmp_path / "log").read_bytes() == b"a\n"


def test_what_cannot_be_cut_is_all_kept(tmp_path, full, monkeypatch) -> None:
    def refuses(path, size) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    file = Growing(tmp_path / "log")
    file.add(b"a\nb\n")
    full(True)
    file.add(b"c\n")
    with monkeypatch.context() as patch:
        patch.setattr("slangmod.growing.cut", refuses)
        with pytest.raises(OSError, match="Read-only"):
            file.cut(up_to(b"a"), 100)
    full(False)
    assert file.close() is None
    assert (tmp_path / "log").read_bytes() == b"a\nb\nc\n"


def test_the_name_of_a_new_file_is_made_durable(tmp_path, monkeypatch) -> None:
    synced = []
    monkeypatch.setattr("slangmod.growing.sync_folder", synced.append)
    file = Growing(tmp_path / "log")
    file.add(b"a")
    for _ in range(2):
        assert file.sync() is None
    assert synced == [tmp_path]
