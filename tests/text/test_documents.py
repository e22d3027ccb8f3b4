import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from slangmod.errors import DataError
from slangmod.files import MARKER
from slangmod.text.documents import (
    find_files,
    fingerprints,
    split_of_file,
    split_of_text,
)


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def names_in(folder, suffix=None, workdir="/nowhere"):
    return [file.name for file in find_files(str(folder), suffix, str(workdir))]


def test_files_come_in_order_of_their_names_from_all_folders(tmp_path) -> None:
    touch(tmp_path, "b.txt", "a/z.jsonl", "a.parquet", "c/d/e.txt.gz", "C.TXT")
    assert names_in(tmp_path) == [
        "C.TXT", "a.parquet", "a/z.jsonl", "b.txt", "c/d/e.txt.gz",
    ]  # fmt: skip


def test_kind_and_packing_are_known_by_the_name(tmp_path) -> None:
    touch(tmp_path, "a.txt", "b.jsonl.gz", "c.parquet.zst", "d.TXT.GZ")
    found = [(f.kind, f.packing) for f in find_files(str(tmp_path), None, "x")]
    assert found == [
        (".txt", ""), (".jsonl", ".gz"), (".parquet", ".zst"), (".txt", ".gz"),
    ]  # fmt: skip


def test_other_kinds_and_hidden_names_are_passed_over(tmp_path) -> None:
    touch(tmp_path, "a.txt", ".b.txt", ".venv/c.txt", "d.md", "e.json", "config.toml")
    assert names_in(tmp_path) == ["a.txt"]


def test_what_slangmod_made_is_passed_over(tmp_path) -> None:
    touch(
        tmp_path,
        "raw.txt",
        "corpus/train.parquet",
        "encodings-12345678/train.txt",
        "runs/first/notes.txt",
        "elsewhere/x.txt",
        "elsewhere/" + MARKER,
        "books/corpus/y.txt",
    )
    assert names_in(tmp_path, workdir=tmp_path) == ["books/corpus/y.txt", "raw.txt"]


def test_suffix_chooses_among_the_files(tmp_path) -> None:
    touch(tmp_path, "a.txt", "b.jsonl", "c.jsonl.gz")
    assert names_in(tmp_path, ".jsonl") == ["b.jsonl"]
    assert names_in(tmp_path, "l.gz") == ["c.jsonl.gz"]


def test_a_single_file_is_enough(tmp_path) -> None:
    touch(tmp_path, "sub/a.txt")
    assert names_in(tmp_path / "sub" / "a.txt") == ["a.txt"]


def test_links_in_a_circle_end(tmp_path) -> None:
    touch(tmp_path, "a/b.txt")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    assert names_in(tmp_path) == ["a/b.txt"]


@pytest.mark.parametrize(
    ("made", "raw", "suffix", "words"),
    [
        ("a.txt", "missing", None, ["missing", "no such file or folder"]),
        ("a.md", "", None, ["holds no file", ".txt, .jsonl and .parquet"]),
        ("a.md", "a.md", None, ["not a file", ".gz and .zst"]),
        ("a.txt", "", ".jsonl", ["holds no file", '".jsonl" (files.suffix)']),
        ("a.txt", "a.txt", ".jsonl", ["not a file", '".jsonl" (files.suffix)']),
        ("work/corpus/a.parquet", "work/corpus", None, ["holds results"]),
        ("work/corpus/a/b.txt", "work/corpus/a", None, ["holds results"]),
    ],
)
def test_nothing_to_read_is_told_in_one_line(tmp_path, made, raw, suffix, words):
    touch(tmp_path, made)
    with pytest.raises(DataError) as caught:
        find_files(str(tmp_path / raw), suffix, str(tmp_path / "work"))
    (problem,) = caught.value.problems
    assert "\n" not in problem
    assert all(word in problem for word in [*words, str(tmp_path / raw)])


@pytest.mark.skipif(sys.platform == "darwin", reason="has no such names")
def test_a_name_that_is_no_text_is_told(tmp_path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/train-\xff.txt")).write_text("some text")
    with pytest.raises(DataError, match=r"train-\\udcff.txt: its name is not UTF-8"):
        names_in(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_read_is_named(tmp_path) -> None:
    touch(tmp_path, "a.txt", "closed/b.txt")
    (tmp_path / "closed").chmod(0)
    with pytest.raises(DataError, match="closed: Permission denied"):
        names_in(tmp_path)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.txt", "train"),
        ("my-TRAIN-00.parquet", "train"),
        ("wiki_test.jsonl.gz", "test"),
        ("validation-0.parquet", "validation"),
        ("notes.txt", None),
        ("train_test_split.txt", "test"),
        ("train-and-validation.txt", "validation"),
        ("train/0001.parquet", "train"),
        ("validation/train-1.txt", "train"),
        ("tests/a.txt", None),
        ("val.txt", None),
    ],
)
def test_names_hold_splits(name, split) -> None:
    assert split_of_file(name) == split


def test_texts_fall_98_to_1_to_1() -> None:
    count = Counter(split_of_text(f"text {i}") for i in range(20_000))
    assert count["test"] == pytest.approx(200, abs=50)
    assert count["validation"] == pytest.approx(200, abs=50)


def test_texts_fall_alike_on_every_machine() -> None:
    held_out = [i for i in range(400) if split_of_text(f"text {i}") != "train"]
    assert held_out == [10, 42, 45, 176, 214, 223, 302, 315, 343, 378, 386]


def test_fingerprints_follow_the_content(tmp_path) -> None:
    touch(tmp_path, "a.txt", "b.txt")
    files = find_files(str(tmp_path), None, "x")
    before = fingerprints(files)
    (tmp_path / "b.txt").write_text("other")
    after = fingerprints(files)
    assert before["a.txt"] == after["a.txt"]
    assert before["b.txt"] != after["b.txt"]


def test_a_working_directory_that_is_a_circle_of_links_is_put_up_with(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/train.txt").write_text("text")
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    found = find_files(str(tmp_path / "raw"), None, str(loop))
    assert [file.name for file in found] == ["train.txt"]
