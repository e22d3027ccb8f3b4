import os

import pytest

from slangmod import files
from slangmod.errors import DataError
from slangmod.text import provenance
from slangmod.text.provenance import (
    is_ours,
    made_from,
    record_path,
    try_out,
    write_tokenizer,
)
from tests.text.conftest import learnt

INPUTS = {"settings": {"vocab": 5}, "text": {"a": "b"}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "work" / "tokenizer-1.json"


def test_what_was_made_is_known_with_its_inputs(path) -> None:
    write_tokenizer(path, "one", INPUTS)
    assert path.read_text() == "one"
    assert is_ours(path)
    assert made_from(path) == INPUTS


def test_the_record_does_not_look_like_a_tokenizer(path) -> None:
    write_tokenizer(path, "one", INPUTS)
    assert [p.name for p in path.parent.glob("*.json")] == [path.name]
    assert record_path(path).is_file()


def test_a_changed_or_foreign_file_is_not_ours(path) -> None:
    write_tokenizer(path, "one", INPUTS)
    path.write_text("other")
    assert not is_ours(path)
    assert made_from(path) is None
    path.unlink()
    assert made_from(path) is None
    foreign = path.with_name("foreign.json")
    foreign.write_text("x")
    assert not is_ours(foreign)


@pytest.mark.parametrize("write", [1, 2, 3])
def test_whenever_writing_stops_the_file_is_known_as_ours(
    path, monkeypatch, write
) -> None:
    write_tokenizer(path, "old", {"n": 1})
    done = []

    def stop_at(real):
        def stopping(*arguments):
            if len(done) + 1 == write:
                raise KeyboardInterrupt
            done.append(real)
            real(*arguments)

        return stopping

    monkeypatch.setattr(provenance, "write_json", stop_at(files.write_json))
    monkeypatch.setattr(provenance, "write_text", stop_at(files.write_text))
    with pytest.raises(KeyboardInterrupt):
        write_tokenizer(path, "new", {"n": 2})
    monkeypatch.undo()
    assert is_ours(path)
    content = path.read_text()
    assert content == ("new" if write == 3 else "old")
    assert made_from(path) == {1: {"n": 1}, 2: None, 3: {"n": 2}}[write]
    write_tokenizer(path, "new", {"n": 2})
    assert made_from(path) == {"n": 2}


RECORDS = ["", "[]", "{", '{"sha256": []}', '{"sha256": {"a": 1}}', "[" * 10**5]


@pytest.mark.parametrize("record", RECORDS)
def test_a_broken_record_says_nothing(path, record) -> None:
    write_tokenizer(path, "one", INPUTS)
    record_path(path).write_text(record)
    assert not is_ours(path)
    assert made_from(path) is None


def test_a_sound_file_passes_the_trial(path) -> None:
    write_tokenizer(path, learnt("bpe").to_json(), INPUTS)
    try_out(path.read_text())


def test_the_trial_tells_what_is_wrong(path) -> None:
    write_tokenizer(path, "{}", INPUTS)
    with pytest.raises(DataError, match=r"not a sound .*Model miss"):
        try_out(path.read_text())


def test_the_trial_does_not_wait_for_ever(path, monkeypatch) -> None:
    write_tokenizer(path, "{ }", INPUTS)
    monkeypatch.setattr(provenance, "TRIAL_SECONDS", 0.1)
    monkeypatch.setattr(provenance, "TRIAL", "while True: pass")
    with pytest.raises(DataError, match="does not load within"):
        try_out(path.read_text())


def test_a_trial_that_dies_is_told_apart(path, monkeypatch) -> None:
    write_tokenizer(path, "{}", INPUTS)
    monkeypatch.setattr(provenance, "TRIAL", "import os; os.abort()")
    with pytest.raises(DataError, match="breaks down"):
        try_out(path.read_text())


def test_a_pipe_or_a_link_to_nowhere_is_no_tokenizer(tmp_path):
    pipe, link = tmp_path / "pipe.json", tmp_path / "link.json"
    os.mkfifo(pipe)
    link.symlink_to("nowhere")
    for path in (pipe, link):
        with pytest.raises(DataError, match="remove it"):
            provenance.is_ours(path)
