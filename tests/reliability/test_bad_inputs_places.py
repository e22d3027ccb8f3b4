"""The matrix of bad inputs: devices, memory, rights, and whatever else surrounds a run.

A row of the matrix is a test, its cases are the parameters.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slangmod.commands import conduct
from slangmod.text import together
from tests.reliability.workplace import Here, everything

TRAIN = ("train", "--toml", "config.toml", "--name", "new")
NOBODY = 65534


@contextmanager
def without_rights(folder: Path, path: Path) -> Iterator[None]:
    """In the block, ``path`` may be neither read (a file) nor written to (a folder)."""
    is_root = os.geteuid() == 0
    above = folder.parents if is_root else ()
    modes = {one: one.stat().st_mode for one in (path, *above)}
    if is_root:
        for one in (folder, *folder.rglob("*")):
            os.chown(one, NOBODY, NOBODY)
        for one in above:
            one.chmod(modes[one] | 0o011)
    path.chmod(0o555 if path.is_dir() else 0)
    try:
        if is_root:
            os.seteuid(NOBODY)
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for one, mode in modes.items():
            one.chmod(mode)


@pytest.mark.parametrize("device", ["cuda:99", "mps:9", "xpu:9"])
def test_a_device_that_is_not_there_is_told_with_those_that_are(
    here: Here, promise, device: str
) -> None:
    line = here.refused(*TRAIN, "--data.device", device)
    assert line.startswith(f'data.device = "{device}": there is no such device here;')
    assert "cpu" in line
    promise("Matrix", 1)


def test_a_long_warmup_is_only_warned_of(here: Here, promise) -> None:
    told = here.run(*TRAIN, "--train.warmup", "600")
    assert (told.code, told.errors) == (0, [])
    assert "train.warmup = 600 is longer than the planned 6 mini-batches" in told.rest
    assert "--train.warmup 1 would fit" in told.rest
    promise("Matrix", 1)


class OutOfMemoryError(RuntimeError):
    """Named as torch's is."""


MEMORY = [
    MemoryError(),
    OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
]


@pytest.mark.parametrize("error", MEMORY)
def test_too_little_memory_is_told_and_checkpoints_stay(
    here: Here, promise, monkeypatch, error: Exception
) -> None:
    train = conduct.Conductor.train

    def breaks_off(conductor: conduct.Conductor) -> object:
        train(conductor)
        raise error

    monkeypatch.setattr(conduct.Conductor, "train", breaks_off)
    told = here.run(*TRAIN)
    assert told.code == 1
    assert told.errors[0].startswith("out of memory in step ")
    assert "a smaller train.batch_size" in told.errors[0]
    monkeypatch.undo()
    monkeypatch.chdir(here.folder)
    assert here.run("resume", "--name", "new").code == 0
    promise("Matrix", 1)


NOT_ALLOWED = [
    (TRAIN, "config.toml", 2),
    (("clean", "--toml", "config.toml"), "raw/train.txt", 2),
    (("generate", "--name", "first"), "runs/first/config.toml", 2),
    (("generate", "--name", "first"), "runs/first/model/config.json", 2),
    (("generate", "--name", "first"), "runs/first/model/model.safetensors", 2),
    (("generate", "--name", "first"), "runs/first/model/tokenizer.json", 2),
    (("evaluate", "--name", "first"), "runs/first/model/tokenizer.json", 2),
    (TRAIN, "corpus/train-00000.parquet", 1),
    (TRAIN, "runs", 1),
    (("clean", "--toml", "config.toml", "--files.min_doc_len", "2"), ".", 1),
]


@pytest.mark.parametrize(("words", "name", "code"), NOT_ALLOWED)
def test_what_may_not_be_read_or_written_is_named(
    here: Here, promise, words: tuple[str, ...], name: str, code: int
) -> None:
    before = everything(here.folder)
    with without_rights(here.folder, here.folder / name):
        told = here.run(*words)
    assert told.code == code, told
    (line,) = told.errors
    assert "permission denied" in line.lower()
    assert "unexpected" not in line
    assert everything(here.folder) == before
    promise("Matrix", 1)


FILES_FOR_FOLDERS = [
    (("clean", "--toml", "config.toml"), "corpus"),
    (TRAIN, "runs"),
    (("train", "--toml", "config.toml", "--name", "first"), "runs/first"),
    (("tokenize", "--toml", "config.toml", "--workdir", "raw/test.txt"), None),
    (("clean", "--toml", "config.toml", "--workdir", "raw/test.txt"), None),
    (("train", "--toml", "config.toml", "--workdir", "raw/test.txt"), None),
]


NO_PLACES = [
    ("raw/test.txt/there", "lies in what is no folder; move that"),
    ("round", "is a symbolic link that leads in a circle; remove it"),
    ("nowhere", "is a symbolic link that leads nowhere; mend it"),
]


@pytest.mark.parametrize(("name", "words"), NO_PLACES)
@pytest.mark.parametrize("action", ["clean", "train", "summarize", "verify"])
def test_a_place_where_no_folder_can_be_is_named(
    here: Here, promise, action: str, name: str, words: str
) -> None:
    (here.folder / "round").symlink_to("round")
    (here.folder / "nowhere").symlink_to("gone")
    before = everything(here.folder)
    told = here.run(action, "--workdir", name)
    assert told.code == 2
    (line,) = told.errors
    assert f"{name}: {words}, or set workdir" in line
    assert everything(here.folder) == before
    promise("Matrix", 1)


@pytest.mark.parametrize(("words", "name"), FILES_FOR_FOLDERS)
def test_a_file_where_a_folder_should_be_is_named(
    here: Here, promise, words: tuple[str, ...], name: str | None
) -> None:
    if name is not None:
        shutil.rmtree(here.folder / name)
        (here.folder / name).write_text("mine", "utf-8")
    assert (name or "raw/test.txt") in here.refused(*words)
    promise("Matrix", 1)


def test_surroundings_without_comfort_are_enough(
    here: Here, promise, monkeypatch
) -> None:
    for name, value in {
        "LANG": "C",
        "LC_ALL": "C",
        "HOME": "/nowhere",
        "TERM": "",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr("sys.stdin", None)
    told = here.run(*TRAIN)
    assert (told.code, told.errors) == (0, [])
    assert here.run("compare").code == 0
    promise("Matrix", 1)


def test_threads_are_as_many_as_there_are(here: Here, promise) -> None:
    assert here.refused(*TRAIN, "--threads", "0").startswith("--threads = 0: must be")
    promise("Matrix", 1)


def test_encode_goes_on_alone_where_a_disk_in_memory_is_full(
    nowhere: Here, promise, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert nowhere.run("clean", "tokenize", "--toml", "config.toml").code == 0
    monkeypatch.setattr(together, "ALONE", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    given = ("encode", "--toml", "config.toml")
    told = nowhere.run(*given, "--threads", "2")
    assert (told.code, told.errors) == (0, [])
    assert "No space left on device: too little memory to share" in told.rest
    assert list(nowhere.folder.glob("encodings-*/manifest.json"))
    promise("Matrix", 1)
