"""The matrix of bad inputs: raw files, corpus, tokenizer and encodings.

A row of the matrix is a test, its cases are the parameters.
"""

# One line per case, however long: a table reads as one.
# ruff: noqa: E501

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from slangmod.files import sha256_of
from slangmod.text import unpacking
from tests.cases import mostly_slow
from tests.reliability.workplace import Here, cut, parquet, spoilt, written

CLEAN = ("clean", "--toml", "config.toml")
TRAIN = ("train", "--toml", "config.toml", "--name", "new")


TEXTS = {"text": ["a document\n" * 50] * 200}
LINES = b"".join(json.dumps({"text": f"line {i}"}).encode() + b"\n" for i in range(99))
BAD_FILES = [
    ("train.parquet", written(b"no parquet at all"), "cannot be read"),
    ("train.parquet", written(b""), "cannot be read"),
    ("train.parquet", cut(parquet(TEXTS), 0.5), "cannot be read"),
    ("train.parquet", parquet({"words": ["a"]}), "has no column 'text' (files.column)"),
    ("train.parquet", parquet({"text": [1, 2]}), "column 'text' is of type int64"),
    ("train.parquet", parquet({"text": [["a"]]}), "column 'text' is of type list"),
    ("train.parquet.gz", written(b"\x1f\x8b nothing"), "cannot be read"),
    ("train.jsonl", written(LINES + b"{"), "train.jsonl:100: not valid JSON"),
    ("train.jsonl", written(LINES + b'["a"]'), "train.jsonl:100: holds a list"),
    ("train.jsonl", written(LINES + b'{"t": ""}'), "train.jsonl:100: has no key 'text'"),
    ("train.jsonl", written(LINES + b'{"text": 1}'), "'text' holds a int"),
    ("train.jsonl", written(LINES + b'{"text": "\xe9"}'), "train.jsonl:100: byte 10"),
    ("train.jsonl", written(b"[" * 200_000), "train.jsonl:1: not valid JSON"),
    ("train.jsonl.gz", cut(written(gzip.compress(LINES * 99)), 0.5), "cannot be read"),
    ("train.jsonl.zst", written(LINES), "cannot be read"),
    ("train.txt.gz", written(b"no gzip"), "cannot be read"),
    ("train.txt", written(b"caf\xe9"), "train.txt: byte 3 (0xe9) is not UTF-8"),
    ("train.txt", written("wide".encode("utf-16")), "train.txt: byte 0 (0xff) is not"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "reason"), BAD_FILES)
def test_a_raw_file_that_cannot_be_read_is_named(
    nowhere: Here, promise, name: str, make: Callable[[Path], None], reason: str
) -> None:
    (nowhere.folder / "raw" / "train.txt").unlink()
    make(nowhere.folder / "raw" / name)
    line = nowhere.refused(*CLEAN)
    assert f"/raw/{name}" in line or line.startswith(f"raw/{name}")
    assert reason in line
    promise("Matrix", 1)


@pytest.mark.parametrize(("name", "make", "reason"), BAD_FILES)
def test_where_that_is_asked_for_it_is_left_out_and_told(
    nowhere: Here, promise, name: str, make: Callable[[Path], None], reason: str
) -> None:
    name = name.replace("train", "train-2")
    make(nowhere.folder / "raw" / name)
    told = nowhere.run(*CLEAN, "--files.on_bad_file", "skip")
    assert (told.code, told.errors) == (0, [])
    assert f"clean: left out: raw/{name}" in told.rest
    assert reason.replace("train.", "train-2.") in told.rest
    assert "1 file of 4 not read to the end" in told.rest
    promise("Matrix", 1)


def test_what_comes_before_a_fault_is_kept(nowhere: Here, promise) -> None:
    (nowhere.folder / "raw" / "train-2.jsonl").write_bytes(LINES + b"{\n" + LINES)
    told = nowhere.run(*CLEAN, "--files.on_bad_file", "skip")
    assert f"clean: {99 + 3} documents kept" in told.rest
    again = nowhere.run(*CLEAN, "--files.on_bad_file", "skip")
    assert "is up to date" in again.rest
    assert nowhere.refused(*CLEAN).startswith("raw/train-2.jsonl:100:")
    promise("Matrix", 1)


def packed(content: bytes) -> Callable[[Path], None]:
    """What writes ``content``, packed by zstd, to a path."""
    return written(pa.compress(content, codec="zstd", asbytes=True))


def repeated(path: Path) -> None:
    """A column that takes little on disk, and much in memory."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 999), ["a" * 99999])
    parquet({"text": column})(path)


BLANKS = b"a" * 50 + b" " * (1 << 22)
LARGE = [
    ("train.txt", written(b"a" * 9999), ()),
    ("train.txt.gz", written(gzip.compress(BLANKS)), ()),
    ("train.txt.zst", packed(BLANKS), ()),
    ("train.jsonl", written(b'{"text": "' + b"a" * 9999 + b'"}'), ()),
    ("train.jsonl.gz", written(gzip.compress(b'{"text": "' + BLANKS)), ()),
    ("train.jsonl.zst", packed(b'{"text": "' + BLANKS), ()),
    ("train.parquet", parquet({"text": ["a", "a" * 9999]}), ": row 1: "),
    ("train.parquet", repeated, ": row 0: "),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "place"), LARGE)
def test_a_document_that_is_too_large_or_a_bomb_is_named(
    nowhere: Here, promise, name: str, make: Callable[[Path], None], place: str
) -> None:
    (nowhere.folder / "raw" / "train.txt").unlink()
    make(nowhere.folder / "raw" / name)
    line = nowhere.refused(*CLEAN, "--files.max_doc_bytes", "5000")
    assert f"raw/{name}" in line
    assert "files.max_doc_bytes = 5000: raise that, or cut the text" in line
    assert not place or place in line
    promise("Matrix", 1)


def test_a_packed_file_of_parquet_that_is_a_bomb_is_named(
    nowhere: Here, promise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "LEAST_UNPACKED", 1 << 20)
    path = nowhere.folder / "raw" / "train.parquet.gz"
    path.write_bytes(gzip.compress(b"PAR1" * (1 << 20)))
    assert "unpacks to more than" in nowhere.refused(*CLEAN)
    promise("Matrix", 1)


def test_a_null_is_skipped_and_counted(nowhere: Here, promise) -> None:
    parquet({"text": ["a", None, "b", None]})(
        nowhere.folder / "raw" / "train-2.parquet"
    )
    told = nowhere.run(*CLEAN)
    assert (told.code, told.errors) == (0, [])
    assert "2 documents null, and skipped" in told.rest
    promise("Matrix", 1)


@pytest.mark.parametrize("text", ["a\0b", "\x1b[2J", "\x9b31m", "\u202eabc", "\ufeff"])
def test_characters_that_are_odd_are_text(nowhere: Here, promise, text: str) -> None:
    (nowhere.folder / "raw" / "train.txt").write_text(text * 200, "utf-8")
    told = nowhere.run("clean", "tokenize", "encode", "--toml", "config.toml")
    assert (told.code, told.errors) == (0, [])
    promise("Matrix", 1)


RAW = [
    ("missing", ("--files.raw", "nowhere"), '"nowhere": there is no such file or folder'),
    ("empty", ("--files.raw", "empty"), '"empty": holds no file; it can be .txt'),
    ("no suffix", ("--files.suffix", ".csv"), 'holds no file that ends in ".csv"'),
    ("other kind", ("--files.raw", "config.toml"), '"config.toml": not a file'),
    ("own", ("--files.raw", "corpus"), "holds results of slangmod"),
    ("too short", ("--files.min_doc_len", "99999"), "no document is left; 3 were shorter"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "reason"), [case[1:] for case in RAW], ids=[case[0] for case in RAW]
)
def test_where_there_is_nothing_to_read_that_is_told(
    here: Here, promise, flags: tuple[str, ...], reason: str
) -> None:
    (here.folder / "empty").mkdir()
    line = here.refused(*CLEAN, *flags)
    assert line.startswith("files.raw = ")
    assert reason in line
    promise("Matrix", 1)


def test_results_of_others_are_left_alone(nowhere: Here, promise) -> None:
    (nowhere.folder / "corpus").mkdir()
    (nowhere.folder / "corpus" / "mine.txt").write_text("mine", "utf-8")
    assert "was not made by slangmod" in nowhere.refused(*CLEAN)
    promise("Matrix", 1)


def test_too_little_text_is_told(nowhere: Here, promise) -> None:
    for path in (nowhere.folder / "raw").iterdir():
        path.unlink()
    (nowhere.folder / "raw" / "a.txt").write_text("ab", "utf-8")
    line = nowhere.refused(*CLEAN)
    assert "2 characters in all are too few to be split" in line
    promise("Matrix", 1)


@pytest.mark.parametrize(
    "split", mostly_slow(("train", "test", "validation"), ("validation",))
)
def test_a_split_without_a_token_to_predict_is_told(
    nowhere: Here, promise, split: str
) -> None:
    (nowhere.folder / "corpus").mkdir()
    for name in ("train", "test", "validation"):
        text = "" if name == split else "some text"
        parquet({"text": [text]})(nowhere.folder / "corpus" / f"{name}.parquet")
    made = nowhere.run("tokenize", "encode", "--toml", "config.toml")
    assert (made.code, made.errors) == (0, [])
    told = nowhere.run(*TRAIN)
    assert told.code == 2
    wanted = f"the {split} split holds 1 tokens: at least 2 are needed; add text"
    assert told.errors[0].startswith(wanted)
    promise("Matrix", 1)


NOT_MADE = [
    ("tokenize", "corpus", "there is no corpus; run `slangmod clean`"),
    ("encode", "tokenizer-*", "there is no tokenizer; run `slangmod tokenize encode`"),
    ("train", "tokenizer-*", "there is no tokenizer; run `slangmod tokenize encode`"),
    ("train", "encodings-*", "there are no encodings; run `slangmod encode`"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "missing", "reason"), NOT_MADE)
def test_what_has_not_been_made_yet_is_told_with_the_action_that_makes_it(
    here: Here, promise, action: str, missing: str, reason: str
) -> None:
    (there,) = here.folder.glob(missing)
    there.rename(here.folder / "gone")
    assert reason in here.refused(action, "--toml", "config.toml", "--name", "new")
    promise("Matrix", 1)


def test_another_corpus_makes_encodings_stale(here: Here, promise) -> None:
    (here.folder / "raw" / "train.txt").write_text("other text\n" * 99, "utf-8")
    assert here.run(*CLEAN).code == 0
    line = here.refused(*TRAIN)
    assert "was made from another corpus" in line
    assert line.endswith("run `slangmod tokenize encode`")
    promise("Matrix", 1)


TOKENIZERS = [
    ("empty", lambda _: b"", "not a sound tokenizer file"),
    ("no json", lambda _: b"\0" * 99, "not a sound tokenizer file"),
    ("nested", lambda _: b"[" * 200_000, "not a sound tokenizer file"),
    ("cut", lambda good: good[: len(good) // 2], "not a sound tokenizer file"),
    ("latin", lambda good: b"\xe9" + good, "not a"),
    ("no model", lambda _: b"{}", "not a sound tokenizer file"),
    ("no end", lambda good: good.replace(b"<|endoftext|>", b"word"),
     "has no end symbol; add one of"),
    ("large ids", lambda good: good.replace(b": 256", b": 4294967295").replace(
     b'"id": 256', b'"id": 4294967295'), "my.json: "),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [case[1:] for case in TOKENIZERS],
    ids=[case[0] for case in TOKENIZERS],
)
def test_a_tokenizer_that_is_not_sound_is_named(
    here: Here, promise, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    (good,) = here.folder.glob("tokenizer-*.json")
    (here.folder / "my.json").write_bytes(spoil(good.read_bytes()))
    given = ("--toml", "config.toml", "--files.tokenizer", "my.json")
    line = here.refused("encode", *given)
    assert line.startswith("my.json: ")
    assert reason in line
    promise("Matrix", 1)


def test_data_by_another_tokenizer_are_not_taken(here: Here, promise) -> None:
    (tokenizer,) = here.folder.glob("tokenizer-*.json")
    spoilt(tokenizer, lambda content: content + b"\n")
    assert "there are no encodings; run `slangmod encode`" in here.refused(*TRAIN)
    promise("Matrix", 1)


@pytest.mark.parametrize(
    ("action", "given"), [("train", TRAIN[1:]), ("evaluate", ())], ids=str
)
def test_both_tokenizers_are_told_where_ids_are_by_another(
    here: Here, promise, action: str, given: tuple[str, ...]
) -> None:
    (tokenizer,) = here.folder.glob("tokenizer-*.json")
    (path,) = here.folder.glob("encodings-*/manifest.json")
    other = "0123456789abcdef" * 4
    spoilt(
        path, lambda text: text.replace(sha256_of(tokenizer).encode(), other.encode())
    )
    line = here.refused(action, *given)
    assert sha256_of(tokenizer)[:16] in line
    assert other[:16] in line
    promise("Matrix", 1)


FILES = ["manifest.json", "token_bytes.bin", "train-00000.bin", "train-00000.ends",
         "test-00000.bin", "validation-00000.bin"]  # fmt: skip
FAULTS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "cut": lambda path: spoilt(path, lambda content: content[:-2]),
    "changed": lambda path: spoilt(path, lambda content: content[:-3] + b"\0\1\2"),
    "folder": lambda path: (path.unlink(), path.mkdir()),
}
ACTIONS = {
    "train": ("--toml", "config.toml", "--name", "new"),
    "resume": ("--train.max_steps", "8"),
    "evaluate": (),
}
UNSOUND = [
    *((name, fault, "train") for name in FILES for fault in FAULTS),
    *((FILES[2], fault, action) for fault in FAULTS for action in ACTIONS),
]


@pytest.mark.parametrize(("name", "fault", "action"), dict.fromkeys(UNSOUND))
def test_encodings_that_are_not_as_they_were_written_are_named(
    here: Here, promise, name: str, fault: str, action: str
) -> None:
    (path,) = here.folder.glob(f"encodings-*/{name}")
    FAULTS[fault](path)
    line = here.refused(action, *ACTIONS[action])
    assert f"{path.parent.name}/{name}: " in line
    assert line.endswith("run `slangmod encode` to make it anew")
    promise("R14", 1)


def test_ids_that_no_token_has_are_never_learnt(here: Here, promise) -> None:
    (path,) = here.folder.glob("encodings-*/train-00000.bin")
    np.memmap(path, "<u2")[77] = 257
    manifest = path.with_name("manifest.json")
    content = json.loads(manifest.read_text("utf-8"))
    content["splits"]["train"]["shards"][0]["sha256"] = sha256_of(path)
    manifest.write_text(json.dumps(content), "utf-8")
    assert f"{path.parent.name}/train-00000.bin: " in here.refused(*TRAIN)
    promise("R14", 1)


def test_what_is_broken_is_made_anew_by_the_action_named(here: Here, promise) -> None:
    (path,) = here.folder.glob("encodings-*/train-00000.bin")
    before = path.read_bytes()
    spoilt(path, lambda content: content[:-1])
    assert here.run("encode", "--toml", "config.toml").code == 0
    assert path.read_bytes() == before
    promise("Matrix", 1)


BROKEN_CORPUS = [("tokenize", "train"), ("encode", "train"), ("encode", "test")]


@pytest.mark.parametrize(("action", "split"), BROKEN_CORPUS)
def test_a_broken_file_of_the_corpus_is_named(
    here: Here, promise, action: str, split: str
) -> None:
    path = here.folder / "corpus" / f"{split}-00000.parquet"
    spoilt(path, lambda content: content[: len(content) // 2])
    line = here.refused(action, "--toml", "config.toml")
    assert line.startswith(f"corpus/{split}-00000.parquet: cannot be read")
    promise("Matrix", 1)


@pytest.mark.parametrize("trials", [2, pytest.param(300, marks=pytest.mark.slow)])
def test_a_corpus_of_somebody_is_read_or_refused_in_a_line(
    here: Here, promise, trials: int
) -> None:
    chance = random.Random(trials)
    path = here.folder / "corpus" / "train-00000.parquet"
    sound = path.read_bytes()
    footer = len(sound) - 8 - int.from_bytes(sound[-8:-4], "little")
    for number in range(trials):
        changed = bytearray(sound)
        for _ in range(3):
            begin = footer if number % 2 else 0
            changed[chance.randrange(begin, len(sound))] = chance.randrange(256)
        path.write_bytes(changed)
        told = here.run("tokenize", "encode", "--toml", "config.toml")
        assert told.code in (0, 1, 2)
        assert len(told.errors) == bool(told.code)
        assert not any(line.startswith("unexpected") for line in told.errors)
        assert "Traceback" not in told.rest
    promise("R17", trials)
