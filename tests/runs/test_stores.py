import shlex
from pathlib import Path

import pytest

from slangmod.runs.stores import how_to_look, store_of, store_problem

WORK = Path("/work dir")


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "mlruns",
        "./runs of mlflow",
        "/abs/mlruns",
        "file:///abs/mlruns",
        "http://localhost:5000",
        "https://me:secret@host/path",
        "sqlite:///mlflow.db",
        "sqlite:////abs/mlflow.db",
        "postgresql://me:secret@host/runs",
        "postgresql+psycopg2://host/runs",
    ],
)
def test_places_for_runs_are_taken(uri):
    assert store_problem(uri) is None


@pytest.mark.parametrize(
    "uri",
    ["", "localhost:5000", "htp://host", "sqlite://x.db", "http:/host", "ftp://x"],
)
def test_other_addresses_are_refused_with_the_way_out(uri):
    problem = store_problem(uri)
    assert problem.startswith(f'track.uri = "{uri}": is no place')
    assert "sqlite:///FILE" in problem


def test_the_default_is_a_database_in_the_working_directory():
    assert store_of(None, WORK, {}) == "sqlite:////work dir/mlflow.db"


def test_paths_hold_wherever_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert store_of("mlruns", WORK, {}) == f"{tmp_path}/mlruns"
    assert store_of("sqlite:///a.db", WORK, {}) == f"sqlite:///{tmp_path}/a.db"
    for uri in ("http://host", "sqlite:////abs.db", "/abs", "postgresql://u:p@h/d"):
        assert store_of(uri, WORK, {}) == uri


def test_a_run_goes_on_in_the_folder_where_it_began(tmp_path, monkeypatch):
    began = tmp_path / "began"
    (began / "mlruns").mkdir(parents=True)
    monkeypatch.chdir(began)
    store = store_of("mlruns", WORK, {})
    monkeypatch.chdir(tmp_path)
    kept = {"given": "mlruns", "store": store}
    assert store_of("mlruns", WORK, kept) == f"{began}/mlruns"
    assert store_of("other", WORK, kept) == f"{tmp_path}/other"
    (began / "mlruns").rmdir()
    assert store_of("mlruns", WORK, kept) == f"{tmp_path}/mlruns"


def test_the_command_to_look_is_safe_in_a_shell():
    command = how_to_look("sqlite:////work dir/$(rm)/mlflow.db")
    words = shlex.split(command)
    assert words == [
        "mlflow",
        "server",
        "--backend-store-uri",
        "sqlite:////work dir/$(rm)/mlflow.db",
    ]
    assert how_to_look("/abs/mlruns") == (
        "MLFLOW_ALLOW_FILE_STORE=true mlflow server --backend-store-uri /abs/mlruns"
    )
    assert how_to_look("http://me:secret@host:5000") == "http://me:***@host:5000"
