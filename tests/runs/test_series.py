import math

import pytest

from slangmod.runs.series import last_row, read_series

COLUMNS = ("step", "loss")


def test_columns_are_found_by_their_header(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("loss,other,step\n0.5,9,1\n0.25,,2\n")
    series = read_series(path, COLUMNS)
    assert list(series["step"]) == [1, 2]
    assert list(series["loss"]) == [0.5, 0.25]


def test_an_empty_cell_and_a_missing_column_are_nan(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("step\n1\n")
    assert math.isnan(read_series(path, COLUMNS)["loss"][0])
    path.write_text("step,loss\n1,\n")
    assert math.isnan(read_series(path, COLUMNS)["loss"][0])


@pytest.mark.parametrize("torn", ["3,0.1", "3", "x,y\n", "1,2,3\n", "\n", "\0\0\0\n"])
def test_rows_that_do_not_fit_are_passed_over(tmp_path, torn):
    path = tmp_path / "steps.csv"
    path.write_text("step,loss\n1,0.5\n2,0.25\n" + torn)
    assert list(read_series(path, COLUMNS)["step"]) == [1, 2]
    assert last_row(path) == {"step": 2, "loss": 0.25}


@pytest.mark.parametrize("content", [b"", b"step,loss", b"step,loss\n", b"\xff\xff\n"])
def test_a_table_without_rows_has_none(tmp_path, content):
    path = tmp_path / "steps.csv"
    path.write_bytes(content)
    assert len(read_series(path, COLUMNS)) == 0
    assert last_row(path) == {}


def test_a_table_that_is_not_there_has_no_rows(tmp_path):
    assert len(read_series(tmp_path / "steps.csv", COLUMNS)) == 0
    assert last_row(tmp_path / "steps.csv") == {}
    assert last_row(tmp_path) == {}


def test_only_what_is_new_is_read_again(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("step,loss\n1,0.5\n2,0.")
    series = read_series(path, COLUMNS)
    assert list(series["step"]) == [1]
    assert not series.refresh()
    with path.open("a") as stream:
        stream.write("25\n3,0.125\n")
    assert series.refresh()
    assert list(series["loss"]) == [0.5, 0.25, 0.125]


def test_a_table_cut_by_a_resumed_run_is_read_anew(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("step,loss\n1,0.5\n2,0.25\n3,0.125\n")
    series = read_series(path, COLUMNS)
    path.write_text("step,loss\n1,0.5\n")
    series.refresh()
    assert list(series["step"]) == [1]


def test_the_last_row_of_a_long_table_is_found_at_its_end(tmp_path):
    path = tmp_path / "steps.csv"
    rows = "".join(f"{step},{1 / step!r}\n" for step in range(1, 20001))
    path.write_text("step,loss\n" + rows)
    assert last_row(path) == {"step": 20000, "loss": 1 / 20000}


def test_a_table_cut_and_grown_again_is_read_anew(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("step,loss\n1,0.5\n2,0.25\n")
    series = read_series(path, COLUMNS)
    path.write_text("step,loss\n1,0.5\n2,0.2500000001\n3,0.125\n")
    assert series.refresh()
    assert list(series["loss"]) == [0.5, 0.2500000001, 0.125]
    assert series.beginnings == 2


def test_all_columns_are_taken_where_none_is_named(tmp_path):
    path = tmp_path / "steps.csv"
    path.write_text("step,loss,stage\n1,0.5,2\n")
    series = read_series(path, None)
    assert list(series.columns) == ["step", "loss", "stage"]
    assert list(series["stage"]) == [2]
    assert len(read_series(tmp_path / "missing.csv", None)) == 0
