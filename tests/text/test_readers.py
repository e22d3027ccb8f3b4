import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slangmod.errors import DataError
from slangmod.text.documents import find_files
from slangmod.text.readers import Oddities, read_documents, without_surrogates

TEXTS = ["one\ntwo\r\n", "größe \u2028 中", "", "three"]


def packed(content: bytes, packing: str) -> bytes:
    if packing == ".gz":
        return gzip.compress(content)
    if packing == ".zst":
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, "zstd") as stream:
            stream.write(content)
        return sink.getvalue().to_pybytes()
    return content


def jsonl(records) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def parquet(columns, **options) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue().to_pybytes()


def read(path: Path, content: bytes, column: str = "text"):
    path.write_bytes(content)
    (file,) = find_files(str(path), None, "/nowhere")
    oddities = Oddities()
    return list(read_documents(file, column, oddities)), oddities


CONTENTS = {
    ".jsonl": (jsonl({"text": text, "n": 1} for text in TEXTS), TEXTS),
    ".parquet": (parquet({"n": [1, 2, 3, 4], "text": TEXTS}), TEXTS),
    ".txt": ("".join(TEXTS).encode(), ["".join(TEXTS)]),
}


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", CONTENTS)
def test_documents_come_as_they_were_written(tmp_path, kind, packing) -> None:
    content, texts = CONTENTS[kind]
    found, oddities = read(tmp_path / f"a{kind}{packing}", packed(content, packing))
    assert found == texts
    assert oddities == Oddities(0, 0)


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", [".jsonl", ".parquet"])
def test_a_file_that_breaks_off_is_named(tmp_path, kind, packing) -> None:
    many = [f"document {i} " * 9 for i in range(3000)]
    whole = jsonl({"text": t} for t in many) if kind == ".jsonl" else parquet(
        {"text": many}
    )  # fmt: skip
    content = packed(whole, packing)
    path = tmp_path / f"a{kind}{packing}"
    with pytest.raises(DataError) as caught:
        read(path, content[: len(content) * 2 // 3])
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [".txt.gz", ".txt.zst", ".parquet"])
def test_a_file_that_is_not_what_it_is_called_is_named(tmp_path, kind) -> None:
    with pytest.raises(DataError, match=rf"a{kind}: cannot be read: .*complete\?$"):
        read(tmp_path / f"a{kind}", b"this is just some plain text\n" * 9)


def test_several_gzip_members_are_one_file(tmp_path) -> None:
    content = packed(b"one ", ".gz") + packed(b"two", ".gz")
    assert read(tmp_path / "a.txt.gz", content)[0] == ["one two"]


def test_a_byte_order_mark_is_no_text(tmp_path) -> None:
    assert read(tmp_path / "a.txt", b"\xef\xbb\xbfone")[0] == ["one"]
    line = b"\xef\xbb\xbf" + jsonl([{"text": "two"}])
    assert read(tmp_path / "a.jsonl", line)[0] == ["two"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"ab\xffcd", ["byte 2 (0xff)", "not UTF-8", "iconv"]),
        ("a.txt", b"\xef\xbb\xbfab\xff", ["byte 5 (0xff)"]),
        ("a.txt", "text".encode("utf-16"), ["byte 0 (0xff)"]),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": "\xe4"}', [":3:", "byte 10"]),
        ("a.jsonl", b'{"text": "a"}\n{"text": ', [":2:", "not valid JSON"]),
        ("a.jsonl", b"[" * 100_000, [":1:", "not valid JSON"]),
        ("a.jsonl", b'{"text": "a"}\n["b"]', [":2:", "holds a list", "object"]),
        ("a.jsonl", b'{"body": "a", "n": 1}', [":1:", "'text'", "'body', 'n'"]),
        ("a.jsonl", b'{"text": 5}', [":1:", "'text' holds a int"]),
        ("a.parquet", parquet({"body": ["a"]}), ["'text'", "'body'", "files.column"]),
        ("a.parquet", parquet({"text": [1]}), ["'text' is of type int64"]),
        ("a.parquet", parquet({"text": [b"a"]}), ["type binary"]),
        ("a.parquet", parquet({"text": [["a"]]}), ["type list"]),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, name, content, words) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path / name, content)
    (problem,) = caught.value.problems
    assert problem.startswith(str(tmp_path / name))
    assert "\n" not in problem
    assert all(word in problem for word in words), problem


def test_nulls_are_skipped_and_counted(tmp_path) -> None:
    rows = [{"text": None}, {"text": "a"}, {"text": None}]
    texts, oddities = read(tmp_path / "a.jsonl", jsonl(rows))
    assert (texts, oddities.nulls) == (["a"], 2)
    texts, oddities = read(tmp_path / "a.parquet", parquet({"text": ["a", None]}))
    assert (texts, oddities.nulls) == (["a"], 1)


def test_lone_surrogates_become_the_replacement_character(tmp_path) -> None:
    content = rb'{"text": "a\ud800b"}' + b"\n" + rb'{"text": "\ud83e\udd37"}'
    texts, oddities = read(tmp_path / "a.jsonl", content)
    assert texts == ["a\ufffdb", "\U0001f937"]
    assert oddities.surrogates == 1
    assert without_surrogates("a\udcffb") == "a\ufffdb"


def test_another_column_can_be_asked_for(tmp_path) -> None:
    content = parquet({"text": ["no"], "body": ["yes"]})
    assert read(tmp_path / "a.parquet", content, "body")[0] == ["yes"]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]
)
def test_every_type_of_text_column_is_read(tmp_path, kind) -> None:
    column = pa.array(["a", "b", "a"]).cast(kind)
    found = read(tmp_path / "a.parquet", parquet({"text": column}))[0]
    assert found == ["a", "b", "a"]


def test_rows_of_all_row_groups_come_in_order(tmp_path) -> None:
    texts = [f"document {i}" for i in range(5000)]
    content = parquet({"text": texts}, row_group_size=700)
    assert read(tmp_path / "a.parquet", content)[0] == texts


def test_long_lines_are_put_together(tmp_path) -> None:
    texts = ["a" * 700_000, "b", "c" * 300_000]
    found = read(tmp_path / "a.jsonl", jsonl({"text": text} for text in texts))[0]
    assert found == texts
