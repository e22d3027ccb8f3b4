import pytest

from slangmod.errors import DataError, UserError
from slangmod.search.dimensions import Interval
from slangmod.search.storage import JOURNAL, open_storage
from slangmod.search.study import COMPLETE, open_study

SPACE = {"model.dropout": Interval(0.0, 0.5)}
ABOUT = {"space": {}, "direction": "minimize", "metric": "test_loss", "settings": {}}


def opened(folder, storage=None):
    return open_study(open_storage(storage, folder), "s", SPACE, ABOUT)


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
