import math

import pytest
import tomli

from slangmod.errors import DataError
from slangmod.runs.summary import read_summary, write_summary

OUTCOME = {"reason": "patience", "steps": 3, "best_test_loss": 1 / 3, "best_step": None}
COST = {"seconds": 1.5, "tokens": 10**12, "peak_memory_bytes": 2**40}


def test_what_is_written_is_read_back_in_full(tmp_path):
    path = tmp_path / "summary.toml"
    write_summary(path, OUTCOME, {"loss": 0.1}, {"device": 'a "b"\n\x1b\x7f'}, COST)
    tables = read_summary(path)
    assert list(tables) == ["outcome", "validation", "environment", "cost"]
    assert tables["outcome"]["best_test_loss"] == 1 / 3
    assert tables["environment"]["device"] == 'a "b"\n\x1b\x7f'
    assert tables["cost"] == COST


def test_what_is_unset_is_left_out(tmp_path):
    path = tmp_path / "summary.toml"
    write_summary(path, OUTCOME, {}, {"versions": {"torch": None}}, COST)
    tables = read_summary(path)
    assert "best_step" not in tables["outcome"]
    assert tables["environment"] == {"versions": {}}


def test_a_loss_that_is_no_number_stays_one(tmp_path):
    path = tmp_path / "summary.toml"
    write_summary(path, {"best_test_loss": math.inf}, {"loss": math.nan}, {}, {})
    tables = read_summary(path)
    assert math.isnan(tables["validation"]["loss"])
    assert tables["outcome"]["best_test_loss"] == math.inf


def test_a_file_of_an_ended_run_is_plain_toml(tmp_path):
    path = tmp_path / "summary.toml"
    write_summary(path, OUTCOME, {}, {}, COST)
    assert tomli.loads(path.read_text())["cost"]["seconds"] == 1.5


def test_where_there_is_no_summary_there_is_nothing_to_read(tmp_path):
    assert read_summary(tmp_path / "summary.toml") == {}


@pytest.mark.parametrize(
    "content", [b"[outcome", b"outcome = 3\n", b"\xff\xfe", b"a=" + b"[" * 5000]
)
def test_a_broken_summary_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "summary.toml"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"summary\.toml"):
        read_summary(path)


def test_stages_are_a_list_of_tables_and_are_there_only_where_given(tmp_path):
    path = tmp_path / "summary.toml"
    stages = [{"number": 1, "best_test_loss": None}, {"number": 2, "tokens": 7}]
    write_summary(path, OUTCOME, {}, {}, COST, stages)
    assert read_summary(path)["stage"] == [{"number": 1}, {"number": 2, "tokens": 7}]
    write_summary(path, OUTCOME, {}, {}, COST)
    assert "stage" not in read_summary(path)


@pytest.mark.parametrize("content", ["stage = 3\n", "stage = [1]\n"])
def test_stages_that_are_none_are_an_error(tmp_path, content):
    path = tmp_path / "summary.toml"
    path.write_text(content)
    with pytest.raises(DataError, match="no summary"):
        read_summary(path)
