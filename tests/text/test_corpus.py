import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slangmod.errors import DataError
from slangmod.files import mark
from slangmod.text import corpus
from slangmod.text.corpus import (
    Row,
    Written,
    corpus_digests,
    corpus_documents,
    corpus_files,
    corpus_rows,
    count_rows,
    file_documents,
    write_corpus,
)

DEALT = [
    ("train", "one two"),
    ("test", "three"),
    ("train", "größe\n"),
    ("validation", ""),
    ("train", "four"),
]


def test_documents_come_back_by_split_and_in_order(tmp_path) -> None:
    written = write_corpus(tmp_path, DEALT)
    assert list(corpus_documents(tmp_path, "train")) == ["one two", "größe\n", "four"]
    assert list(corpus_documents(tmp_path, "test")) == ["three"]
    assert list(corpus_documents(tmp_path, "validation")) == [""]
    assert written["train"] == Written(3, 17)
    mark(tmp_path, {"files": corpus_digests(tmp_path)})
    assert count_rows(tmp_path, "train") == 3


def test_of_files_that_others_have_made_no_account_is_taken(tmp_path) -> None:
    write_corpus(tmp_path, DEALT)
    assert count_rows(tmp_path, "train") is None


def test_long_documents_take_several_rows_and_come_back_whole(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(corpus, "ROW_CHARACTERS", 10)
    long = "some words and more " * 5
    write_corpus(tmp_path, [("train", "short"), ("train", long), ("train", "x" * 50)])
    rows = list(corpus_rows(tmp_path, "train"))
    assert [row.more for row in rows].count(False) == 3
    assert len(rows) > 5
    assert rows[0] == Row("short", False)
    assert list(corpus_documents(tmp_path, "train")) == ["short", long, "x" * 50]


def test_files_and_row_groups_are_bounded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(corpus, "GROUP_CHARACTERS", 100)
    monkeypatch.setattr(corpus, "FILE_CHARACTERS", 1000)
    texts = [f"document number {i}" for i in range(200)]
    write_corpus(tmp_path, [("train", text) for text in texts])
    names = [path.name for path in corpus_files(tmp_path, "train")]
    assert names == ["train-00000.parquet", "train-00001.parquet",
                     "train-00002.parquet", "train-00003.parquet"]  # fmt: skip
    group = pq.read_metadata(tmp_path / names[0]).row_group(0)
    assert group.num_rows < 10
    assert list(corpus_documents(tmp_path, "train")) == texts


def test_equal_documents_make_equal_files(tmp_path) -> None:
    digests = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_corpus(tmp_path / name, DEALT)
        digests.append(corpus_digests(tmp_path / name))
    assert digests[0] == digests[1]
    assert list(digests[0]) == sorted(digests[0])


def test_a_failure_leaves_no_file(tmp_path) -> None:
    def broken():
        yield from DEALT
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        write_corpus(tmp_path, broken())
    assert list(tmp_path.iterdir()) == []


def test_a_corpus_made_by_hand_is_read(tmp_path) -> None:
    table = pa.table({"id": [1, 2, 3], "text": ["a", None, "b"]})
    pq.write_table(table, tmp_path / "my_train.parquet")
    assert list(corpus_rows(tmp_path, "train")) == [Row("a", False), Row("b", False)]


def test_a_missing_corpus_or_split_names_the_way_out(tmp_path) -> None:
    with pytest.raises(DataError, match=r"there is no corpus.*slangmod clean"):
        corpus_files(tmp_path / "corpus", "train")
    write_corpus(tmp_path, [("train", "a")])
    with pytest.raises(DataError, match=r"no parquet file for the test split"):
        corpus_files(tmp_path, "test")


def test_a_broken_corpus_file_is_named(tmp_path) -> None:
    write_corpus(tmp_path, [("train", "some text " * 99)])
    (path,) = corpus_files(tmp_path, "train")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"train-00000\.parquet: cannot be read"):
        list(corpus_documents(tmp_path, "train"))


def by_hand(path, texts, more) -> None:
    pq.write_table(pa.table({"text": texts, "more": more}), path)


def test_a_file_that_ends_within_a_document_is_refused(tmp_path) -> None:
    path = tmp_path / "train.parquet"
    by_hand(path, ["one", "two ", "three"], [False, True, True])
    with pytest.raises(DataError, match=r"train\.parquet: its last document goes on"):
        list(corpus_rows(tmp_path, "train"))


def test_a_document_that_goes_on_is_not_gathered_for_ever(tmp_path) -> None:
    path = tmp_path / "train.parquet"
    by_hand(path, ["one", *["x" * 10] * 99, "end"], [False, *[True] * 99, False])
    whole = ["one", "x" * 990 + "end"]
    assert list(file_documents(path, 993)) == whole
    documents = file_documents(path, 992)
    assert next(documents) == "one"
    with pytest.raises(DataError, match=r"document 1: has more than 992 characters"):
        next(documents)
