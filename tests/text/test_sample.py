import json
import sys
from itertools import islice

import pytest

from slangmod.text import sample
from slangmod.text.sample import docstrings, prose, write_sample


@pytest.fixture(scope="module")
def documents():
    return list(docstrings())


@pytest.mark.slow
def test_the_sample_is_a_corpus_of_prose(documents) -> None:
    text = "\n\n".join(documents)
    assert len(documents) > 3000
    assert 500_000 < len(text) < 10_000_000
    letters = sum(character.isalpha() or character == " " for character in text)
    assert letters > 0.9 * len(text)
    assert text.count(" the ") > len(text) / 400
    assert ">>>" not in text


@pytest.mark.slow
def test_no_paragraph_occurs_twice(documents) -> None:
    paragraphs = [p for document in documents for p in document.split("\n\n")]
    assert len(paragraphs) == len(set(paragraphs))


def test_the_order_is_the_same_each_time() -> None:
    assert list(islice(docstrings(), 300)) == list(islice(docstrings(), 300))


def test_nothing_is_imported_to_read_it() -> None:
    before = set(sys.modules)
    list(islice(docstrings(), 300))
    assert set(sys.modules) - before <= {"encodings.ascii", "encodings.latin_1"}


def test_it_is_written_as_raw_documents(tmp_path, monkeypatch) -> None:
    documents = list(islice(docstrings(), 9))
    monkeypatch.setattr(sample, "docstrings", lambda: iter(documents))
    path = write_sample(tmp_path / "raw")
    lines = path.read_text("utf-8").splitlines()
    assert path.suffix == ".jsonl"
    assert [json.loads(line) for line in lines] == [
        {"text": text} for text in documents
    ]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("text", "paragraphs"),
    [
        ("One line that\n    goes on here.", ["One line that goes on here."]),
        ("f(x) -> y\n\nReturn the y of an x.", ["Return the y of an x."]),
        (">>> f(1)\n2\n\nThis is after the example.", ["This is after the example."]),
        ("Heading of it all\n-----\n\nToo short.", []),
        (":param x: the value that is doubled.", []),
        (
            "Use :func:`~os.path.join` and ``None`` as **needed** here.",
            ["Use os.path.join and None as needed here."],
        ),
        ("A table of many things: 1 2 3 4 5 6 7 8 9 0 | + = {}.", []),
        ("lower case is where a list goes on.", []),
        ("No full stop at the end of it", []),
    ],
)
def test_only_sentences_are_kept(text, paragraphs) -> None:
    assert list(prose(text)) == paragraphs
