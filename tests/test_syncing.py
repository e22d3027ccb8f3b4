"""New folders outlive a loss of power once they are made."""

import errno

import pytest

from slangmod.syncing import make_folder
from tests.reliability.faulty_disk import Disk, installed
from tests.reliability.power import Journal


def test_folders_are_there_whatever_happens_once_they_are_made(tmp_path):
    root = tmp_path.resolve()
    journal = Journal(root)
    with installed(Disk(root, after=journal.note)):
        make_folder(root / "a" / "b")
        make_folder(root / "a" / "c")
    assert [sorted(tree) for tree in journal.crashes()] == [["a/", "a/b/", "a/c/"]]


def test_one_whose_name_may_vanish_is_not_taken_for_made(tmp_path):
    root, refusals = tmp_path.resolve(), [OSError(errno.EIO, "refused")]

    def refuse(name, path):
        if name == "fsync" and refusals:
            raise refusals.pop()

    journal = Journal(root)
    with installed(Disk(root, refuse, journal.note)):
        with pytest.raises(OSError, match="refused") as caught:
            make_folder(root / "a" / "b")
        assert caught.value.filename == str(root / "a")
        make_folder(root / "a" / "b")
    assert [sorted(tree) for tree in journal.crashes()] == [["a/", "a/b/"]]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "a")
