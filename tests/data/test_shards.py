import json
import os
from pathlib import Path

import numpy as np
import pytest

from slangmod.data import checking
from slangmod.data.shards import (
    MANIFEST,
    TOKEN_BYTES,
    Manifest,
    check_fresh,
    encodings_folder,
    made_from,
    manifest_content,
    open_encodings,
)
from slangmod.data.writing import Encoded, write_split
from slangmod.errors import DataError
from slangmod.files import mark, sha256_of, write_bytes, write_json
from slangmod.settings.sections import Settings

DOCUMENTS = [[1, 2, 3], [], [4], [5, 6, 7, 8, 9], [1]]


def encoded(documents):
    for ids in documents:
        *parts, last = [ids[i : i + 2] for i in range(0, len(ids), 2)] or [[]]
        for part in parts:
            yield Encoded(np.array(part, "uint16"), 3 * len(part), False)
        yield Encoded(np.array(last, "uint16"), 3 * len(last), True)


def write(folder, dtype="uint16", most=8):
    """Encodings of DOCUMENTS with ids up to 9 and the end symbol 10."""
    folder.mkdir(parents=True, exist_ok=True)
    splits = {
        name: write_split(folder, name, encoded(DOCUMENTS), dtype, 10, most)
        for name in ("train", "test", "validation")
    }
    lengths = np.array([3] * 10 + [0], "<u2").tobytes()
    write_bytes(folder / TOKEN_BYTES, lengths)
    digest = sha256_of(folder / TOKEN_BYTES)
    manifest = Manifest(dtype, 11, 10, "abc", digest, splits)
    write_json(folder / MANIFEST, manifest_content(manifest))
    return manifest


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
@pytest.mark.parametrize("most", [1, 4, 8, 1000])
def test_each_document_is_followed_by_the_end_symbol(tmp_path, dtype, most) -> None:
    manifest = write(tmp_path, dtype, most)
    encodings = open_encodings(tmp_path)
    assert encodings.manifest == manifest
    shards = [np.fromfile(path, dtype) for path in encodings.shard_paths("train")]
    ids = np.concatenate(shards)
    assert ids.tolist() == [i for document in DOCUMENTS for i in (*document, 10)]
    ends = encodings.document_ends("train")
    assert ends.dtype == np.int64
    assert (ids[ends - 1] == 10).all()
    assert ends.tolist() == [4, 5, 7, 13, 15]
    split = manifest.splits["train"]
    assert (split.documents, split.tokens, split.bytes) == (5, 15, 30)


def test_documents_are_never_cut_between_shards(tmp_path) -> None:
    manifest = write(tmp_path, most=4)
    shards = manifest.splits["train"].shards
    assert [shard.tokens for shard in shards] == [4, 9, 2]
    assert [shard.documents for shard in shards] == [1, 3, 1]
    assert [shard.name for shard in shards] == [
        "train-00000.bin", "train-00001.bin", "train-00002.bin",
    ]  # fmt: skip


def test_the_manifest_says_what_the_contract_asks_for(tmp_path) -> None:
    write(tmp_path)
    content = json.loads((tmp_path / MANIFEST).read_text())
    assert {"dtype", "vocab", "end", "tokenizer_sha256", "splits"} <= set(content)
    split = content["splits"]["test"]
    assert {"documents", "tokens", "bytes", "shards"} == set(split)
    for shard in split["shards"]:
        assert shard["sha256"] == sha256_of(tmp_path / shard["name"])
        assert shard["ends_sha256"] == sha256_of(tmp_path / shard["ends"])


def test_ids_are_little_endian_on_disk(tmp_path) -> None:
    part = Encoded(np.array([1, 258], ">u2"), 2, True)
    write_split(tmp_path, "train", [part], "uint16", 3)
    assert (tmp_path / "train-00000.bin").read_bytes() == bytes([1, 0, 2, 1, 3, 0])


def test_no_document_makes_no_shard(tmp_path) -> None:
    split = write_split(tmp_path, "train", [], "uint16", 3)
    assert split.shards == ()
    assert list(tmp_path.iterdir()) == []


def test_bytes_of_tokens_lie_beside_the_shards(tmp_path) -> None:
    write(tmp_path)
    lengths = open_encodings(tmp_path).token_bytes()
    assert lengths.dtype == np.int64
    assert lengths.tolist() == [3] * 10 + [0]


def test_the_fingerprint_follows_the_data(tmp_path, monkeypatch) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b")
    monkeypatch.setitem(globals(), "DOCUMENTS", [*DOCUMENTS, [2]])
    write(tmp_path / "c")
    a, b, c = (open_encodings(tmp_path / name).fingerprint() for name in "abc")
    assert a == b != c


def test_missing_encodings_name_the_way_out(tmp_path) -> None:
    with pytest.raises(DataError, match="run `slangmod encode`"):
        open_encodings(tmp_path / "encodings-1")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (MANIFEST, b"{"),
        (MANIFEST, b"[]"),
        (MANIFEST, b"{}"),
        (MANIFEST, b"\xff"),
        ("train-00000.bin", b"123"),
        ("test-00000.ends", b""),
        (TOKEN_BYTES, b"1"),
        (MANIFEST, None),
        ("train-00000.bin", None),
        (TOKEN_BYTES, None),
    ],
)
def test_whatever_lacks_or_has_the_wrong_size_is_named(tmp_path, name, content) -> None:
    write(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: .*run `slangmod encode`") as caught:
        open_encodings(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"), [("dtype", "int8"), ("splits", 5), ("splits", {"train": 5})]
)
def test_an_impossible_manifest_is_refused(tmp_path, key, value) -> None:
    write(tmp_path)
    content = json.loads((tmp_path / MANIFEST).read_text()) | {key: value}
    (tmp_path / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(DataError, match="manifest"):
        open_encodings(tmp_path)


def flip(path):
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["train-00000.bin", "test-00001.ends", TOKEN_BYTES])
def test_a_single_wrong_bit_is_found(tmp_path, name) -> None:
    write(tmp_path)
    open_encodings(tmp_path).verify()
    flip(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}: its content has changed"):
        open_encodings(tmp_path).verify()


def test_a_failure_leaves_no_shard(tmp_path) -> None:
    def broken():
        yield from encoded(DOCUMENTS)
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        write_split(tmp_path, "train", broken(), "uint16", 10)
    assert list(tmp_path.iterdir()) == []


# -- what belongs to which settings ----------------------------------------------------


@pytest.fixture
def settings(tmp_path):
    def make(**tokens):
        files = {"tokenizer": str(tmp_path / "tokenizer.json")}
        return Settings.model_validate(
            {"workdir": str(tmp_path), "files": files, "tokens": tokens}
        )

    (tmp_path / "tokenizer.json").write_text("one")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "train.parquet").write_text("text")
    return make


def made(settings):
    folder = encodings_folder(settings)
    write(folder)
    mark(folder, {"inputs": made_from(settings)})
    return folder


def test_the_folder_is_named_by_tokenizer_and_chance(settings, tmp_path) -> None:
    plain = encodings_folder(settings())
    assert plain.name.startswith("encodings-")
    assert len(plain.name) == len("encodings-12345678")
    assert encodings_folder(settings(vocab=999)) == plain
    assert encodings_folder(settings().model_copy(update={"seed": 1})) == plain
    dropped = settings(dropout=0.1)
    assert encodings_folder(dropped) != plain
    reseeded = dropped.model_copy(update={"seed": 1})
    assert encodings_folder(reseeded) != encodings_folder(dropped)
    (tmp_path / "tokenizer.json").write_text("two")
    assert encodings_folder(settings()) != plain


def test_fresh_encodings_are_opened(settings) -> None:
    folder = made(settings())
    assert check_fresh(settings()).folder == folder


def test_without_tokenizer_or_encodings_the_actions_are_named(settings, tmp_path):
    with pytest.raises(DataError, match="run `slangmod encode`"):
        check_fresh(settings())
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(DataError, match="run `slangmod tokenize encode`"):
        check_fresh(settings())


@pytest.mark.parametrize("name", ["train.parquet", "train-2.parquet"])
def test_another_corpus_makes_encodings_stale(settings, tmp_path, name) -> None:
    made(settings())
    (tmp_path / "corpus" / name).write_text("other")
    with pytest.raises(DataError, match=r"another corpus.*`slangmod tokenize encode`"):
        check_fresh(settings())


def test_encodings_without_a_corpus_are_taken_as_they_are(settings, tmp_path) -> None:
    folder = made(settings())
    (tmp_path / "corpus" / "train.parquet").unlink()
    (tmp_path / "corpus").rmdir()
    assert check_fresh(settings()).folder == folder


def test_damaged_encodings_are_not_fresh(settings) -> None:
    folder = made(settings())
    flip(folder / "train-00000.bin")
    with pytest.raises(DataError, match="content has changed"):
        check_fresh(settings())


def test_shards_are_opened_to_be_read_alone(tmp_path, monkeypatch) -> None:
    """A disk may be mounted for reading only, which root is not refused by rights."""
    write(tmp_path)
    as_ever, modes = os.open, []

    def watched(file, flags, *more, **known):
        modes.append((Path(file).suffix, flags & os.O_ACCMODE))
        return as_ever(file, flags, *more, **known)

    monkeypatch.setattr(os, "open", watched)
    open_encodings(tmp_path).verify()
    assert (".bin", os.O_RDONLY) in modes
    assert {mode for _, mode in modes} == {os.O_RDONLY}


def test_encodings_that_others_have_replaced_are_told(tmp_path, monkeypatch) -> None:
    write(tmp_path / "a")
    encodings = open_encodings(tmp_path / "a")
    known = encodings.fingerprint()
    encodings.refuse_replaced()
    monkeypatch.setitem(globals(), "DOCUMENTS", [*DOCUMENTS, [2]])
    write(tmp_path / "a")
    assert encodings.fingerprint() == known
    with pytest.raises(DataError, match="was made anew, or removed"):
        encodings.refuse_replaced()
    (tmp_path / "a" / MANIFEST).unlink()
    with pytest.raises(DataError, match="was made anew, or removed"):
        encodings.refuse_replaced()


def test_a_corpus_file_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/train-00000.parquet").symlink_to("nowhere")
    with pytest.raises(DataError, match="parquet: is a symbolic link"):
        made_from(Settings(workdir=str(tmp_path)))


def test_a_shard_that_is_cut_short_while_it_is_checked_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(checking, "AT_A_TIME", 3)
    manifest = write(tmp_path)
    shard = manifest.splits["train"].shards[0]
    order = checking._disorder

    def cut(ends, tokens):
        os.truncate(tmp_path / shard.name, 4)
        return order(ends, tokens)

    monkeypatch.setattr(checking, "_disorder", cut)
    found = list(checking.faults_of(tmp_path, manifest))
    assert (shard.name, checking.CHANGED) in found


@pytest.mark.parametrize("many", [1, 3, 4, 100])
@pytest.mark.parametrize(
    ("at", "wrong", "fault"),
    [
        (None, 0, None),
        (3, 9, ("train-00000.ends", "a document does not end with the end symbol")),
        (5, 11, ("train-00000.bin", "has the id 11, of 11 tokens")),
    ],
)
def test_how_many_ids_are_looked_at_at_a_time_makes_no_difference(
    tmp_path, monkeypatch, many, at, wrong, fault
) -> None:
    monkeypatch.setattr(checking, "AT_A_TIME", many)
    manifest = write(tmp_path, most=1000)
    path = tmp_path / "train-00000.bin"
    ids = np.fromfile(path, "uint16")
    if at is not None:
        ids[at] = wrong
    ids.tofile(path)
    found = list(checking.faults_of(tmp_path, manifest))
    assert [one for one in found if one[1] != checking.CHANGED] == [
        one for one in [fault] if one
    ]
