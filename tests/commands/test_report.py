import pytest

from slangmod.cli import main


def test_it_is_written_into_the_folder_of_the_first_run(capsys, tmp_path, make_run):
    one, two = make_run("one"), make_run("two")
    assert main(["report", "one", "two", "--workdir", str(tmp_path)]) == 0
    assert "<h1>one, two</h1>" in one.report.read_text()
    assert not two.report.exists()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert str(one.report) in captured.err


def test_it_goes_where_it_is_wanted(tmp_path, make_run):
    run = make_run("one")
    path = tmp_path / "page.html"
    more = ["--name", "one", "--output", str(path), "--workdir", str(tmp_path)]
    assert main(["report", *more]) == 0
    assert path.read_text().startswith("<!doctype html>")
    assert not run.report.exists()


def test_points_stand_for_as_many_rows_as_is_asked(tmp_path, make_run):
    run = make_run("one", steps=3000)
    for more, expected in (([], 20), (["--plot.record_frequency", "50"], 50)):
        assert main(["report", "one", "--workdir", str(tmp_path), *more]) == 0
        assert f'"rows_per_point":{expected},' in run.report.read_text()


@pytest.mark.parametrize(
    "more",
    [["missing"], ["one", "--output", "no/folder.html"], ["one", "--output", "."]],
)
def test_mistakes_are_single_lines_and_write_nothing(
    capsys, tmp_path, monkeypatch, make_run, more
):
    make_run("one")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main(["report", *more]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
