import os
import random
import sqlite3
from contextlib import closing

import pytest

from slangmod.errors import DataError, UserError
from slangmod.search import storage
from slangmod.search.dimensions import Interval
from slangmod.search.journal import judged
from slangmod.search.storage import JOURNAL, open_storage, place_of, turn_on
from slangmod.search.study import COMPLETE, open_study

SPACE = {"model.dropout": Interval(0.0, 0.5)}
ABOUT = {"space": {}, "direction": "minimize", "metric": "test_loss", "settings": {}}


def opened(folder, address=None):
    return open_study(open_storage(address, folder), "s", SPACE, ABOUT)


def ask(study):
    return study.ask(lambda _: {"model.dropout": 0.25}, 1, 5, "here")


@pytest.mark.parametrize(
    "torn", [b'{"op', b"\x00" * 9, b'{"op_code":4,"worker', b"{\n"]
)
def test_a_line_that_was_cut_short_is_mended(tmp_path, torn):
    first = ask(opened(tmp_path))
    journal = tmp_path / JOURNAL
    sound = journal.read_bytes()
    journal.write_bytes(sound + torn)
    study = opened(tmp_path)
    study.tell(first.number, COMPLETE, value=1.0)
    assert ask(study).number == 1
    assert [record.value for record in opened(tmp_path).records()] == [1.0, None]
    assert journal.read_bytes().startswith(sound)


def test_a_journal_whose_first_line_was_cut_short_begins_anew(tmp_path):
    (tmp_path / JOURNAL).write_bytes(b'{"op_code":0,"wor')
    assert opened(tmp_path).records() == ()


def test_a_journal_that_is_damaged_inside_is_refused(tmp_path):
    ask(opened(tmp_path))
    journal = tmp_path / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b"{\n", *lines[1:]]))
    with pytest.raises(DataError, match="is damaged"):
        opened(tmp_path)


def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("my notes\nmore of them")
    with pytest.raises(DataError, match="is no journal"):
        opened(tmp_path, str(other))
    assert other.read_text() == "my notes\nmore of them"
    with pytest.raises(UserError, match="there is no folder"):
        opened(tmp_path, str(tmp_path / "nowhere" / "study.journal"))


def test_a_database_keeps_a_study_like_a_journal(tmp_path):
    address = f"sqlite:///{tmp_path}/study.db"
    study = opened(tmp_path, address)
    study.tell(ask(study).number, COMPLETE, value=2.0)
    assert [record.value for record in opened(tmp_path, address).records()] == [2.0]


def test_an_address_that_leads_nowhere_is_told_without_its_password(tmp_path):
    for address in ("sqlite:////nowhere/at/all.db", "nobase://me:secret@host/db"):
        with pytest.raises(UserError, match=r"sweep\.storage") as told:
            opened(tmp_path, address)
        assert "secret" not in str(told.value)


def content_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def begun(tmp_path):
    """The address of a database with a trial in it, and its file."""
    address = f"sqlite:///{tmp_path}/study.db"
    study = opened(tmp_path, address)
    study.tell(ask(study).number, COMPLETE, value=2.0)
    return address, tmp_path / "study.db"


def foreign(path, *statements):
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)


def test_a_file_that_is_no_database_of_studies_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "PAUSE", 0)
    (tmp_path / "notes.txt").write_text("my notes\n" * 500)
    foreign(tmp_path / "places.db", "CREATE TABLE places (url TEXT)")
    foreign(tmp_path / "studies.db", "CREATE TABLE studies (title TEXT)")
    before = content_of(tmp_path)
    for name in before:
        with pytest.raises(DataError, match=f"{name}: cannot keep a study"):
            opened(tmp_path, f"sqlite:///{tmp_path}/{name}")
        assert content_of(tmp_path) == before
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(DataError, match=f"{name}: cannot keep a study"):
            opened(tmp_path, f"sqlite:///{tmp_path}/{name}")


def test_rows_that_nobody_writes_are_told_and_nothing_changes(tmp_path):
    address, path = begun(tmp_path)
    sound = path.read_bytes()
    for statement in (
        "UPDATE trials SET state = 'WONDERFUL'",
        "UPDATE trials SET number = 7",
        "UPDATE trial_values SET value_type = 'INF_POS', value = NULL",
        "UPDATE trial_params SET param_value = 'much'",
        "UPDATE trial_params SET distribution_json = '[[['",
        "UPDATE study_directions SET direction = 'MAXIMIZE'",
        "UPDATE study_user_attributes SET value_json = '[1]'",
        "DELETE FROM trial_params",
    ):
        path.write_bytes(sound)
        foreign(path, statement)
        before = content_of(tmp_path)
        with pytest.raises(UserError) as told, judged(place_of(address, tmp_path)):
            opened(tmp_path, address)
        assert len(str(told.value).splitlines()) == 1, statement
        assert content_of(tmp_path) == before, statement


def test_a_damaged_database_is_told_and_nothing_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "PAUSE", 0)
    address, path = begun(tmp_path)
    sound, chance, refused = path.read_bytes(), random.Random(3), 0
    for _ in range(20):
        content = bytearray(sound)
        start = chance.randrange(len(content))
        content[start : start + 4000] = chance.randbytes(4000)
        path.write_bytes(content)
        before = content_of(tmp_path)
        try:
            with judged(place_of(address, tmp_path)):
                opened(tmp_path, address)
        except UserError as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
            assert content_of(tmp_path) == before
    assert refused > 10


def test_a_database_in_memory_has_no_place_on_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for address in ("sqlite://", "sqlite:///:memory:"):
        study = open_storage(address, tmp_path)
        with turn_on(address, tmp_path, study)():
            assert [path.name for path in tmp_path.iterdir()] == ["study.journal.turn"]
