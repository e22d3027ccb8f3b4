import json
from pathlib import Path

import pytest

from slangmod.commands.clean import clean
from slangmod.errors import DataError, UserError
from slangmod.files import MARKER, read_mark
from slangmod.settings.sections import Settings
from slangmod.text.corpus import corpus_documents
from slangmod.text.documents import SPLITS, split_of_text

BOOK = "".join(f"This is line {i} of the book.\n" for i in range(1000))
SHAKESPEARE = Path(__file__).parents[3] / "shared" / "data" / "tinyshakespeare.txt"


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    for split in SPLITS:
        (folder / f"{split}.txt").write_text(f"Text of {split}.\n")
    return folder


@pytest.fixture
def settings(tmp_path, raw):
    def make(tokens=None, **files):
        files = {"raw": str(raw), **files}
        return Settings.model_validate(
            {
                "workdir": str(tmp_path / "work"),
                "files": files,
                "tokens": tokens or {},
                "progress": False,
            }
        )

    return make


@pytest.fixture
def corpus(tmp_path):
    return tmp_path / "work" / "corpus"


def documents(folder):
    return {split: list(corpus_documents(folder, split)) for split in SPLITS}


def state_of(folder):
    """Every file below ``folder`` with its content and the time of its last change."""
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_files_named_for_splits_go_there(settings, corpus, caplog) -> None:
    caplog.set_level("INFO")
    clean(settings())
    assert documents(corpus) == {split: [f"Text of {split}.\n"] for split in SPLITS}
    assert "3 documents kept" in caplog.text
    assert "train 1, test 1, validation 1" in caplog.text


def test_documents_without_a_split_go_by_their_hash(settings, raw, corpus) -> None:
    texts = [f"Document number {i}." for i in range(1000)]
    for path in raw.iterdir():
        path.unlink()
    lines = [json.dumps({"text": text}) for text in texts]
    (raw / "a.jsonl").write_text("\n".join(lines))
    clean(settings())
    expected = {s: [t for t in texts if split_of_text(t) == s] for s in SPLITS}
    assert documents(corpus) == expected
    assert all(expected.values())


def test_one_book_is_cut_at_lines_and_that_is_said(
    settings, tmp_path, corpus, caplog
) -> None:
    caplog.set_level("INFO")
    book = tmp_path / "book.txt"
    book.write_text(BOOK)
    clean(settings(raw=str(book)))
    found = documents(corpus)
    assert [len(found[split]) for split in SPLITS] == [1, 1, 1]
    assert "".join(found[split][0] for split in SPLITS) == BOOK
    assert found["validation"][0].count("\n") == found["test"][0].count("\n") == 10
    assert "the last 1 % of the text became validation" in caplog.text


@pytest.mark.skipif(not SHAKESPEARE.exists(), reason="needs ../shared")
def test_a_real_book_loses_nothing(settings, corpus) -> None:
    clean(settings(raw=str(SHAKESPEARE)))
    text = "".join(found for split in documents(corpus).values() for found in split)
    assert text == SHAKESPEARE.read_text("utf-8")


def test_cleaners_then_cutting_then_length(settings, raw, corpus, caplog) -> None:
    caplog.set_level("INFO")
    text = "\u201cOne\u201d|x|\u201cTwo\u201d||Three"
    (raw / "train.txt").write_text(text)
    clean(settings(cleaners=("quotes",), min_doc_len=4, tokens={"eos_regex": r"\|"}))
    assert documents(corpus)["train"] == ['"One"', '"Two"', "Three"]
    assert "1 dropped (shorter than 4 characters)" in caplog.text


def test_nulls_and_surrogates_are_told_of(settings, raw, caplog) -> None:
    caplog.set_level("INFO")
    (raw / "train-2.jsonl").write_text('{"text": null}\n{"text": "a\\ud800"}\n')
    clean(settings())
    assert "1 document null, and skipped" in caplog.text
    assert "U+FFFD" in caplog.text


def test_files_without_a_split_among_named_ones_are_told_of(settings, raw, caplog):
    (raw / "val.txt").write_text("held out?")
    clean(settings())
    assert "the names of val.txt say nothing of train, test" in caplog.text


# -- only when something has changed ---------------------------------------------------


def test_the_same_again_does_nothing_and_says_so(settings, corpus, caplog) -> None:
    caplog.set_level("INFO")
    clean(settings())
    before = state_of(corpus)
    clean(settings(min_doc_len=1, encoding="ascii", cleaners=()))
    assert state_of(corpus) == before
    assert "up to date" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"min_doc_len": 2},
        {"cleaners": ("quotes",)},
        {"tokens": {"eos_regex": "of"}},
        {"suffix": ".txt", "column": "body"},
    ],
)
def test_other_settings_make_the_corpus_anew(settings, corpus, change) -> None:
    clean(settings())
    before = read_mark(corpus)
    clean(settings(**change))
    assert read_mark(corpus) != before


def test_other_raw_text_makes_the_corpus_anew(settings, raw, corpus) -> None:
    clean(settings())
    (raw / "train.txt").write_text("Other text.")
    clean(settings())
    assert documents(corpus)["train"] == ["Other text."]
    (raw / "train-2.txt").write_text("More text.")
    clean(settings())
    assert documents(corpus)["train"] == ["More text.", "Other text."]


def test_a_lost_corpus_file_is_made_again(settings, corpus) -> None:
    clean(settings())
    (corpus / "train-00000.parquet").unlink()
    clean(settings())
    assert documents(corpus)["train"] == ["Text of train.\n"]


# -- nothing is lost -------------------------------------------------------------------


def test_a_folder_of_the_user_is_left_alone(settings, corpus) -> None:
    corpus.mkdir(parents=True)
    (corpus / "train.parquet").write_text("precious")
    before = state_of(corpus)
    with pytest.raises(DataError, match="was not made by slangmod"):
        clean(settings())
    assert state_of(corpus) == before


def test_a_file_of_the_user_among_ours_is_left_alone(settings, corpus) -> None:
    clean(settings())
    (corpus / "notes.txt").write_text("precious")
    before = state_of(corpus)
    with pytest.raises(DataError, match=r"notes\.txt: was not made by slangmod"):
        clean(settings(min_doc_len=3))
    assert state_of(corpus) == before


def test_a_corpus_changed_by_hand_is_left_alone(settings, corpus) -> None:
    clean(settings())
    (corpus / "train-00000.parquet").write_text("precious")
    before = state_of(corpus)
    with pytest.raises(DataError, match="changed after slangmod had made it"):
        clean(settings(min_doc_len=3))
    assert state_of(corpus) == before


def test_the_corpus_is_no_raw_data(settings, corpus) -> None:
    clean(settings())
    before = state_of(corpus)
    with pytest.raises(DataError, match="holds results of slangmod"):
        clean(settings(raw=str(corpus)))
    assert state_of(corpus) == before


def test_raw_may_be_a_parent_of_the_corpus(settings, tmp_path, corpus) -> None:
    clean(settings(raw=str(tmp_path)))
    first = documents(corpus)
    clean(settings(raw=str(tmp_path)))
    clean(settings(raw=str(tmp_path), min_doc_len=2))
    assert documents(corpus) == first


@pytest.mark.parametrize(
    ("name", "content", "change", "words"),
    [
        ("train-2.jsonl", b'{"body": 1}\n', {}, "'body'"),
        ("validation-2.txt", b"\xff", {}, "UTF-8"),
        ("x.parquet", b"no parquet", {}, "x.parquet"),
        ("x.md", b"", {"raw": "missing"}, "no such file"),
        ("x.md", b"", {"min_doc_len": 999}, "min_doc_len = 999"),
        ("x.md", b"", {"tokens": {"eos_regex": "("}}, "eos_regex"),
        ("x.md", b"", {"encoding": "xx", "cleaners": ("encoding",)}, "encoding"),
    ],
)
@pytest.mark.parametrize("again", [False, True])
def test_a_failure_writes_nothing(
    settings, tmp_path, raw, corpus, name, content, change, words, again
) -> None:
    if again:
        clean(settings())
    (raw / name).write_bytes(content)
    before = state_of(tmp_path)
    with pytest.raises(UserError) as caught:
        clean(settings(**change))
    (problem,) = caught.value.problems
    assert words in problem
    assert "\n" not in problem
    assert state_of(tmp_path) == before
    assert corpus.parent.exists() == again


def test_an_interrupted_run_leaves_the_old_corpus(settings, corpus, monkeypatch):
    clean(settings())
    before = state_of(corpus.parent)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("slangmod.commands.raw_parts.sha256_of", stop)
    with pytest.raises(KeyboardInterrupt):
        clean(settings(min_doc_len=3))
    assert state_of(corpus.parent) == before


def test_what_a_killed_run_left_is_swept_away(settings, corpus) -> None:
    left = corpus.parent / f".aside-{'0' * 32}-corpus"
    other = corpus.parent / f".aside-{'0' * 32}-other"
    for folder in (left, other):
        folder.mkdir(parents=True)
        (folder / "train-00000.parquet").write_text("half")
    clean(settings())
    assert not left.exists()
    assert other.exists()
    assert (corpus / MARKER).is_file()


def test_a_document_left_out_for_its_length_comes_in_once_that_is_allowed(
    settings, raw, corpus, caplog
) -> None:
    (raw / "train-2.txt").write_text("word " * 300)
    clean(settings(on_bad_file="skip", max_doc_bytes=1000))
    assert "files.max_doc_bytes = 1000: " in caplog.text
    assert len(documents(corpus)["train"]) == 1
    clean(settings(on_bad_file="skip", max_doc_bytes=10_000))
    assert len(documents(corpus)["train"]) == 2
